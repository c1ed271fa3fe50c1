#!/usr/bin/perl
# A file server on Danga::Socket (Debian's libdanga-socket-perl), which waits by raw system calls.
#
#     danga_files.pl --port 8080 --root /srv/www
#
# A file is opened and read in the handler, and everybody else waits. Nothing here knows of liblaio.
use strict;
use warnings;

package Client;
use base 'Danga::Socket';
use fields qw(head);

our $root;

sub event_read {
    my Client $self = shift;
    my $bytes = $self->read(65536);
    return $self->close unless defined $bytes;
    $self->{head} = ($self->{head} // '') . $$bytes;
    while ($self->{head} =~ s/\A(.*?)\r\n\r\n//s) {
        my ($path) = $1 =~ m{\AGET (/\S*) HTTP/1\.};
        my ($status, $body) = ('404 Not Found', '');
        if (defined $path && "/$path/" !~ m{/\.\./} && open my $file, '<:raw', $root . $path) {
            local $/;
            ($status, $body) = ('200 OK', scalar <$file>);
        }
        $self->write("HTTP/1.1 $status\r\nContent-Length: " . length($body) . "\r\n\r\n" . $body);
    }
}

sub event_hup { $_[0]->close }
sub event_err { $_[0]->close }

package main;
use Danga::Socket;
use Getopt::Long;
use IO::Socket::INET;

GetOptions('port=i' => \(my $port = 8080), 'root=s' => \$Client::root) or exit 2;
my $listener = IO::Socket::INET->new(
    LocalAddr => '127.0.0.1', LocalPort => $port, Listen => 1024, ReuseAddr => 1, Blocking => 0) or die "$!\n";
$SIG{PIPE} = 'IGNORE';
Danga::Socket->AddOtherFds(fileno $listener => sub {
    while (my $connection = $listener->accept) {
        $connection->blocking(0);
        my $client = Client->new($connection);
        $client->watch_read(1);
    }
});
Danga::Socket->EventLoop;
