/* SPDX-License-Identifier: ISC */
/*
 * A request out, the stream in to its end, then one strict parse.
 * Trusts the host not to attack; an answer cut short is noticed.
 * Past a size or the deadline the call fails and the socket is closed.
 */
#include "guest-agent/http.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define HOST "hatcheck.internal"

static int
left(const struct timespec *start)
{
	struct timespec now;
	long long ms;

	clock_gettime(CLOCK_BOOTTIME, &now);
	ms = (now.tv_sec - start->tv_sec) * 1000LL +
	     (now.tv_nsec - start->tv_nsec) / 1000000;
	return ms >= HTTP_DEADLINE ? 0 : (int)(HTTP_DEADLINE - ms);
}

static int
wait_for(int fd, short events, const struct timespec *start)
{
	struct pollfd p = {.fd = fd, .events = events};
	int r;

	do
		r = poll(&p, 1, left(start));
	while (r < 0 && errno == EINTR);
	if (r == 0)
		errno = ETIMEDOUT;
	return r > 0 ? 0 : -1;
}

static int
send_all(int fd, const struct text *t, const struct timespec *start)
{
	size_t done = 0;

	while (done < t->n) {
		ssize_t n = send(fd, t->p + done, t->n - done, MSG_NOSIGNAL);

		if (n >= 0)
			done += (size_t)n;
		else if (errno != EAGAIN && errno != EINTR)
			return -1;
		else if (wait_for(fd, POLLOUT, start) != 0)
			return -1;
	}
	return 0;
}

static int
read_all(int fd, struct text *in, const struct timespec *start)
{
	char buf[8192];

	while (!in->bad) {
		ssize_t n = read(fd, buf, sizeof(buf));

		if (n == 0)
			return 0;
		if (n > 0)
			text_add(in, buf, (size_t)n);
		else if (errno != EAGAIN && errno != EINTR)
			return -1;
		else if (wait_for(fd, POLLIN, start) != 0)
			return -1;
	}
	errno = EPROTO;
	return -1;
}

static void
request(struct text *t, const char *method, const char *path, const char *form)
{
	text_addf(t,
	    "%s http://" HOST "%s HTTP/1.1\r\nHost: " HOST "\r\n"
	    "User-Agent: hatcheck-guest/" VERSION "\r\nConnection: close\r\n",
	    method, path);
	if (form != NULL)
		text_addf(t,
		    "Content-Type: application/x-www-form-urlencoded\r\n"
		    "Content-Length: %zu\r\n\r\n%s",
		    strlen(form), form);
	else
		text_addf(t, "\r\n");
}

int
http_call(const struct channel *c, const char *method, const char *path,
    const char *form, struct http_reply *out)
{
	struct text to = {0}, in = {.limit = HTTP_HEAD + 2 * HTTP_BODY};
	struct timespec start;
	int fd, saved, r = -1;

	clock_gettime(CLOCK_BOOTTIME, &start);
	fd = channel_open(c);
	if (fd < 0)
		return -1;
	request(&to, method, path, form);
	if (channel_join(fd, left(&start)) != 0)
		goto out;
	if (send_all(fd, &to, &start) == 0 && read_all(fd, &in, &start) == 0) {
		r = http_parse(in.p, in.n, out);
		if (r != 0)
			errno = EPROTO;
	}
out:
	saved = errno;
	close(fd);
	text_free(&to);
	text_free(&in);
	errno = saved;
	return r;
}

void
http_free(struct http_reply *r)
{
	text_free(&r->body);
	r->status = 0;
}

/* What of a head matters to us. */
struct head {
	int status;
	bool has_length;
	size_t length;
	bool chunked;
};

/* Plain digits, at most HTTP_BODY. */
static bool
parse_length(const char *p, size_t n, int base, size_t *out)
{
	static const char digits[] = "0123456789abcdef";
	size_t v = 0;

	if (n == 0)
		return false;
	for (size_t i = 0; i < n; i++) {
		const char *at = memchr(digits,
		    p[i] >= 'A' && p[i] <= 'F' ? p[i] | 32 : p[i],
		    (size_t)base);

		if (at == NULL)
			return false;
		v = v * (size_t)base + (size_t)(at - digits);
		if (v > HTTP_BODY)
			return false;
	}
	*out = v;
	return true;
}

static bool
parse_status(const char *p, size_t n, int *status)
{
	if (n < 12 || memcmp(p, "HTTP/1.1 ", 9) != 0)
		return false;
	for (int i = 9; i < 12; i++)
		if (p[i] < '0' || p[i] > '9')
			return false;
	*status = (p[9] - '0') * 100 + (p[10] - '0') * 10 + (p[11] - '0');
	return *status >= 100 && (n == 12 || p[12] == ' ');
}

static bool
is_name(const char *p, size_t n, const char *name)
{
	return n == strlen(name) && strncasecmp(p, name, n) == 0;
}

static bool
parse_field(const char *p, size_t n, struct head *h)
{
	const char *colon = memchr(p, ':', n), *v;
	size_t name, value;

	if (colon == NULL || colon == p || *p == ' ' || *p == '\t')
		return false;
	v = colon + 1;
	name = (size_t)(colon - p);
	value = n - name - 1;
	for (; value > 0 && (*v == ' ' || *v == '\t'); v++)
		value--;
	while (value > 0 && (v[value - 1] == ' ' || v[value - 1] == '\t'))
		value--;
	if (is_name(p, name, "content-length")) {
		if (h->has_length || !parse_length(v, value, 10, &h->length))
			return false;
		h->has_length = true;
	} else if (is_name(p, name, "transfer-encoding")) {
		if (h->chunked || !is_name(v, value, "chunked"))
			return false;
		h->chunked = true;
	}
	return true;
}

/* A line of p, without its CRLF; NULL when there is none. */
static const char *
line(const char **p, const char *end, size_t *n)
{
	const char *start = *p,
		   *lf = memchr(start, '\n', (size_t)(end - start));

	if (lf == NULL || lf == start || lf[-1] != '\r')
		return NULL;
	*n = (size_t)(lf - 1 - start);
	*p = lf + 1;
	return memchr(start, '\0', *n) ? NULL : start;
}

static bool
parse_head(const char **p, const char *end, struct head *h)
{
	const char *start = *p, *l;
	size_t n;

	*h = (struct head){0};
	l = line(p, end, &n);
	if (l == NULL || !parse_status(l, n, &h->status))
		return false;
	while ((l = line(p, end, &n)) != NULL && n > 0)
		if (!parse_field(l, n, h))
			return false;
	return l != NULL && *p - start <= HTTP_HEAD &&
	       !(h->has_length && h->chunked);
}

static bool
parse_chunks(const char *p, const char *end, struct text *body)
{
	const char *l;
	size_t n, size;

	for (;;) {
		l = line(&p, end, &n);
		if (l == NULL || !parse_length(l, n, 16, &size))
			return false;
		if (size == 0)
			break;
		if ((size_t)(end - p) < size + 2 || p[size] != '\r' ||
		    p[size + 1] != '\n')
			return false;
		text_add(body, p, size);
		p += size + 2;
	}
	/* Trailers are read past, and nothing may follow them. */
	while ((l = line(&p, end, &n)) != NULL && n > 0)
		continue;
	return l != NULL && p == end && !body->bad;
}

static bool
parse_body(
    const char *p, const char *end, const struct head *h, struct text *body)
{
	size_t have = (size_t)(end - p);

	if (h->status == 204)
		return have == 0;
	if (h->chunked)
		return parse_chunks(p, end, body);
	if (h->has_length && have != h->length)
		return false;
	text_add(body, p, have);
	return !body->bad;
}

int
http_parse(const char *p, size_t n, struct http_reply *out)
{
	struct text body = {.limit = HTTP_BODY};
	const char *end = p == NULL ? NULL : p + n;
	struct head h;

	if (p == NULL)
		return -1;
	do
		if (!parse_head(&p, end, &h))
			return -1;
	while (h.status < 200);
	if (!parse_body(p, end, &h, &body)) {
		text_free(&body);
		return -1;
	}
	out->status = h.status;
	out->body = body;
	return 0;
}
