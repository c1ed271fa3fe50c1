/* What the server knows of HTTP/1.0 and 1.1. */
#define _GNU_SOURCE
#include "http.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

size_t http_head_length(const char *bytes, size_t have)
{
	/* A bare LF ends a line as well as CR LF. */
	const char *end = bytes + have;
	for (const char *at = bytes; (at = memchr(at, '\n', end - at)) != NULL; at++) {
		if (end - at > 1 && at[1] == '\n')
			return at + 2 - bytes;
		if (end - at > 2 && at[1] == '\r' && at[2] == '\n')
			return at + 3 - bytes;
	}
	return 0;
}

/* A part of the head. */
struct text {
	const char *at;
	size_t length;
};

/* Takes from `rest` what comes before `separator`, or all of it. */
static struct text take(struct text *rest, char separator)
{
	const char *found = memchr(rest->at, separator, rest->length);
	struct text taken = { rest->at, found != NULL ? (size_t)(found - rest->at) : rest->length };
	size_t gone = taken.length + (found != NULL);
	rest->at += gone;
	rest->length -= gone;
	return taken;
}

static struct text line_of(struct text *rest)
{
	struct text line = take(rest, '\n');
	if (line.length > 0 && line.at[line.length - 1] == '\r')
		line.length--;
	return line;
}

static struct text trimmed(struct text text)
{
	for (; text.length > 0 && (*text.at == ' ' || *text.at == '\t'); text.length--)
		text.at++;
	while (text.length > 0 && strchr(" \t", text.at[text.length - 1]) != NULL)
		text.length--;
	return text;
}

static bool is(struct text text, const char *word)
{
	return text.length == strlen(word) && strncasecmp(text.at, word, text.length) == 0;
}

/* A number of at most 18 digits, which no off_t is too small for; -1 where it is none. */
static off_t number(struct text text)
{
	off_t value = 0;
	if (text.length == 0 || text.length > 18)
		return -1;
	for (size_t i = 0; i < text.length; i++) {
		if (!isdigit((unsigned char)text.at[i]))
			return -1;
		value = value * 10 + (text.at[i] - '0');
	}
	return value;
}

/* bytes=first-last. A field that is not understood, several ranges among them, is as good as none. */
static void parse_range(struct text value, struct http_request *request)
{
	struct text unit = trimmed(take(&value, '='));
	struct text first = trimmed(take(&value, '-')), last = trimmed(value);
	off_t from = number(first), to = number(last);
	bool open = first.length > 0 && last.length == 0, suffix = first.length == 0;
	if (!is(unit, "bytes") || (from < 0 && !suffix) || (to < 0 && !open) || (from >= 0 && to >= 0 && to < from))
		return;
	request->first = from;
	request->last = to;
}

static int digit(char c)
{
	return isdigit((unsigned char)c) ? c - '0' : isxdigit((unsigned char)c) ? tolower((unsigned char)c) - 'a' + 10 : -1;
}

/* Decodes a target, which begins with a slash, into a path that begins with "./". Returns 0 or the status of the answer. */
static int decode(struct text target, char path[PATH_MAX])
{
	const char *end = target.at + target.length;
	size_t length = 1, part = 1; /* where the last part of the path begins */
	path[0] = '.';
	for (const char *at = target.at; at <= end; at++) {
		int c = at < end ? (unsigned char)*at : '/';
		if (c == '%') {
			int high = end - at > 2 ? digit(at[1]) : -1, low = end - at > 2 ? digit(at[2]) : -1;
			if (high < 0 || low < 0)
				return 400;
			c = high << 4 | low;
			at += 2;
		}
		if (c == '\0')
			return 400;
		if (c == '/' && length - part == 2 && memcmp(path + part, "..", 2) == 0)
			return 403;
		if (at == end)
			break;
		if (length == PATH_MAX - sizeof "index.html")
			return 414;
		path[length++] = c;
		if (c == '/')
			part = length;
	}
	strcpy(path + length, length == part ? "index.html" : "");
	return 0;
}

static int parse_fields(struct text rest, struct http_request *request)
{
	bool conditional = false;
	for (struct text line = line_of(&rest); line.length > 0; line = line_of(&rest)) {
		struct text name = take(&line, ':'), value = trimmed(line);
		if (is(name, "connection")) {
			while (value.length > 0) {
				struct text option = trimmed(take(&value, ','));
				if (is(option, "close"))
					request->keep_alive = false;
				else if (is(option, "keep-alive"))
					request->keep_alive = true;
			}
		} else if (is(name, "range")) {
			parse_range(value, request);
		} else if (is(name, "if-range")) {
			conditional = true;
		} else if (is(name, "transfer-encoding") || (is(name, "content-length") && number(value) != 0)) {
			/* What follows is no request. */
			return 413;
		}
	}
	/* There are no validators: nothing that a condition could be true of. */
	if (conditional)
		request->first = request->last = -1;
	return 0;
}

int http_parse(const char *head, size_t length, struct http_request *request, char path[PATH_MAX])
{
	struct text rest = { head, length };
	struct text version = line_of(&rest);
	struct text method = take(&version, ' '), target = take(&version, ' ');
	*request = (struct http_request){ .first = -1, .last = -1 };
	if (method.length == 0 || target.length == 0 || version.length != 8 || memcmp(version.at, "HTTP/", 5) != 0)
		return 400;
	if (memcmp(version.at, "HTTP/1.", 7) != 0)
		return 505;
	request->keep_alive = version.at[7] != '0';
	/* Methods, unlike fields, are in capitals. */
	request->head = method.length == 4 && memcmp(method.at, "HEAD", 4) == 0;
	if (!request->head && (method.length != 3 || memcmp(method.at, "GET", 3) != 0))
		return 405;
	if (target.length > 7 && strncasecmp(target.at, "http://", 7) == 0) {
		struct text authority = { target.at + 7, target.length - 7 };
		size_t skipped = 7 + take(&authority, '/').length;
		target.at += skipped;
		target.length -= skipped;
	}
	target = take(&target, '?');
	if (target.length == 0 || *target.at != '/')
		return 400;
	request->target = target.at;
	request->target_length = target.length;
	int status = parse_fields(rest, request);
	return status != 0 ? status : decode(target, path);
}

int http_range(const struct http_request *request, off_t size, off_t *from, off_t *to)
{
	off_t first = request->first, last = request->last;
	*from = 0;
	*to = size;
	if (first < 0 && last < 0)
		return 200;
	if (first >= 0) {
		*from = first;
		if (last >= 0 && last < size)
			*to = last + 1;
	} else if (last < size) {
		*from = size - last;
	}
	return *from < *to ? 206 : 416;
}

const char *http_reason(int status)
{
	switch (status) {
	case 200: return "OK";
	case 206: return "Partial Content";
	case 301: return "Moved Permanently";
	case 400: return "Bad Request";
	case 403: return "Forbidden";
	case 404: return "Not Found";
	case 405: return "Method Not Allowed";
	case 413: return "Content Too Large";
	case 414: return "URI Too Long";
	case 416: return "Range Not Satisfiable";
	case 431: return "Request Header Fields Too Large";
	case 503: return "Service Unavailable";
	case 505: return "HTTP Version Not Supported";
	default: return "Internal Server Error";
	}
}

const char *http_type(const char *path)
{
	static const char *const types[][2] = {
		{ "html", "text/html" },        { "htm", "text/html" },        { "css", "text/css" },
		{ "js", "text/javascript" },    { "txt", "text/plain" },       { "json", "application/json" },
		{ "svg", "image/svg+xml" },     { "png", "image/png" },        { "jpg", "image/jpeg" },
		{ "jpeg", "image/jpeg" },       { "gif", "image/gif" },        { "webp", "image/webp" },
		{ "ico", "image/x-icon" },      { "woff2", "font/woff2" },     { "pdf", "application/pdf" },
		{ "mp4", "video/mp4" },         { "wasm", "application/wasm" }, { "gz", "application/gzip" },
	};
	const char *dot = strrchr(path, '.');
	for (size_t i = 0; dot != NULL && i < sizeof types / sizeof *types; i++)
		if (strcasecmp(dot + 1, types[i][0]) == 0)
			return types[i][1];
	return "application/octet-stream";
}

static const char *date(void)
{
	static char text[64];
	static time_t written = -1;
	time_t now = time(NULL);
	if (now != written) {
		struct tm parts;
		gmtime_r(&now, &parts);
		strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &parts);
		written = now;
	}
	return text;
}

/* Formatted text at the end of a buffer; `length` becomes more than `room` where it does not fit. */
static void __attribute__((format(printf, 4, 5))) add(char *to, size_t room, size_t *length, const char *format, ...)
{
	va_list arguments;
	if (*length >= room)
		return;
	va_start(arguments, format);
	*length += vsnprintf(to + *length, room - *length, format, arguments);
	va_end(arguments);
}

size_t http_compose(char *to, size_t room, const struct http_answer *a)
{
	size_t length = 0;
	add(to, room, &length, "HTTP/1.1 %d %s\r\nDate: %s\r\nContent-Type: %s\r\nContent-Length: %lld\r\n", a->status,
	    http_reason(a->status), date(), a->type, (long long)a->length);
	if (a->status == 200)
		add(to, room, &length, "Accept-Ranges: bytes\r\n");
	if (a->status == 206)
		add(to, room, &length, "Content-Range: bytes %lld-%lld/%lld\r\n", (long long)a->from,
		    (long long)(a->from + a->length - 1), (long long)a->size);
	if (a->status == 416)
		add(to, room, &length, "Content-Range: bytes */%lld\r\n", (long long)a->size);
	if (a->status == 405)
		add(to, room, &length, "Allow: GET, HEAD\r\n");
	if (a->status == 301) {
		struct text target = { a->request->target, a->request->target_length };
		/* Two slashes at the beginning would lead to another host. */
		for (; target.length > 1 && target.at[1] == '/'; target.length--)
			target.at++;
		add(to, room, &length, "Location: %.*s/\r\n", (int)target.length, target.at);
	}
	add(to, room, &length, "Connection: %s\r\n\r\n", a->keep_alive ? "keep-alive" : "close");
	return length < room ? length : 0;
}
