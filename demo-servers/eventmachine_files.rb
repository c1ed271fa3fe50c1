#!/usr/bin/ruby
# frozen_string_literal: true

# A file server on EventMachine, written in the ordinary way: one thread, which reads files where it needs them.
#
#     eventmachine_files.rb --port 8080 --root /srv/www [--epoll]
#
# Without --epoll EventMachine waits in select. While it waits for one file it serves nobody: that is what liblaio is for.
# Nothing here knows of it.

require 'eventmachine'
require 'optparse'
require 'uri'

# A connection: its requests are answered one after the other.
class FileServer < EM::Connection
  MAX_HEAD = 16_384
  REASONS = { 200 => 'OK', 400 => 'Bad Request', 404 => 'Not Found', 405 => 'Method Not Allowed' }.freeze

  def initialize(root)
    super()
    @root = root
    @received = +''
  end

  def receive_data(data)
    @received << data
    while (head_end = @received.index("\r\n\r\n"))
      answer(@received.slice!(0, head_end + 4))
    end
    close_connection if @received.bytesize > MAX_HEAD
  end

  private

  def answer(head)
    request_line, *fields = head.split("\r\n")
    method, target, version = request_line.to_s.split(' ')
    keep = keep?(version, fields)
    status, body = document(method, target)
    send_data("HTTP/1.1 #{status} #{REASONS[status]}\r\nContent-Length: #{body.bytesize}\r\n" \
              "Connection: #{keep ? 'keep-alive' : 'close'}\r\n\r\n")
    send_data(body) unless method == 'HEAD'
    close_connection_after_writing unless keep
  end

  def keep?(version, fields)
    said = fields.find { |field| field.match?(/\Aconnection:/i) }.to_s.split(':').last.to_s.strip.downcase
    version == 'HTTP/1.1' ? said != 'close' : said == 'keep-alive'
  end

  # The status and the body that answer a request.
  def document(method, target)
    return [405, ''] unless %w[GET HEAD].include?(method)

    path = URI::DEFAULT_PARSER.unescape(target.to_s.split('?').first.to_s)
    return [400, ''] if !path.start_with?('/') || path.include?("\0") || path.split('/').include?('..')

    path += 'index.html' if path.end_with?('/')
    [200, File.binread(@root + path)]
  rescue SystemCallError
    [404, '']
  end
end

options = { host: '127.0.0.1', port: 8080, root: '.', epoll: false }
OptionParser.new do |parser|
  parser.on('--host ADDRESS')
  parser.on('--port PORT', Integer)
  parser.on('--root DIRECTORY')
  parser.on('--epoll')
end.parse!(into: options)

EM.epoll if options[:epoll]
trap('INT') { EM.stop }
trap('TERM') { EM.stop }
EM.run { EM.start_server(options[:host], options[:port], FileServer, File.realpath(options[:root])) }
