/* SPDX-License-Identifier: ISC */
/*
 * A load generator: N keep-alive connections, one request in flight on each,
 * every reply checked. Set-up (connect, ATTACH, CONNECT, TLS) blocks and is
 * not counted; then one epoll loop.
 *
 *	load --unix SOCK --attach TOKEN --connect HOST:443 --tls HOST
 *	     --ca FILE --path /x -c 64 -t 5 --expect-bytes 1024
 *	load --tcp 127.0.0.1:8443 --tls HOST --ca FILE ...
 *
 * Prints one JSON line: requests, seconds, errors, p50_us, p99_us.
 */
#include <openssl/ssl.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define SAMPLES_MAX 4000000

struct options {
	const char *unix_path, *tcp, *attach, *connect, *tls, *ca, *path;
	const char *header;
	int connections;
	double seconds;
	size_t expect;
};

struct conn {
	int fd;
	SSL *ssl;
	char in[70000];
	size_t have;
	uint64_t began;
};

static struct {
	uint32_t *samples;
	size_t n;
	uint64_t errors;
} total;

static char request[4096];
static size_t request_len;

static void
die(const char *why)
{
	fprintf(stderr, "load: %s: %s\n", why, strerror(errno));
	exit(1);
}

static uint64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int
dial(const struct options *o)
{
	union {
		struct sockaddr sa;
		struct sockaddr_un un;
		struct sockaddr_in in;
	} a = {0};
	socklen_t n;

	if (o->unix_path != NULL) {
		a.un.sun_family = AF_UNIX;
		snprintf(
		    a.un.sun_path, sizeof(a.un.sun_path), "%s", o->unix_path);
		n = sizeof(a.un);
	} else {
		char host[64];
		unsigned port;
		if (sscanf(o->tcp, "%63[^:]:%u", host, &port) != 2)
			die("--tcp");
		a.in.sin_family = AF_INET;
		a.in.sin_port = htons((uint16_t)port);
		if (inet_pton(AF_INET, host, &a.in.sin_addr) != 1)
			die("--tcp");
		n = sizeof(a.in);
	}
	int fd = socket(a.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, &a.sa, n) != 0)
		die("connect");
	return fd;
}

static void
say(int fd, const char *s)
{
	if (write(fd, s, strlen(s)) != (ssize_t)strlen(s))
		die("write");
}

static void
proxy_hello(const struct options *o, int fd)
{
	char line[6000], c;
	size_t n = 0;

	if (o->attach != NULL) {
		snprintf(line, sizeof(line), "ATTACH %s\r\n", o->attach);
		say(fd, line);
	}
	if (o->connect == NULL)
		return;
	snprintf(line, sizeof(line), "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n",
	    o->connect, o->connect);
	say(fd, line);
	while (n < sizeof(line) - 1 && read(fd, &c, 1) == 1) {
		line[n++] = c;
		if (n >= 4 && memcmp(line + n - 4, "\r\n\r\n", 4) == 0)
			break;
	}
	line[n] = '\0';
	if (strncmp(line, "HTTP/1.1 200", 12) != 0) {
		fprintf(stderr, "load: CONNECT: %.80s\n", line);
		exit(1);
	}
}

static void
open_conn(const struct options *o, SSL_CTX *ctx, struct conn *c)
{
	c->fd = dial(o);
	proxy_hello(o, c->fd);
	if (o->tls != NULL) {
		c->ssl = SSL_new(ctx);
		SSL_set_fd(c->ssl, c->fd);
		SSL_set_tlsext_host_name(c->ssl, o->tls);
		SSL_set1_host(c->ssl, o->tls);
		if (SSL_connect(c->ssl) != 1)
			die("TLS");
	}
	fcntl(c->fd, F_SETFL, O_NONBLOCK);
}

static void
fire(struct conn *c)
{
	c->began = now_ns();
	c->have = 0;
	int n = c->ssl != NULL
	    ? SSL_write(c->ssl, request, (int)request_len)
	    : (int)write(c->fd, request, request_len);
	if (n != (int)request_len)
		die("send");
}

/* The whole response, or 0 when more must come. */
static size_t
response_len(struct conn *c, bool *good, size_t expect)
{
	c->in[c->have] = '\0';
	char *end = strstr(c->in, "\r\n\r\n");
	if (end == NULL)
		return 0;
	char *cl = strcasestr(c->in, "content-length:");
	if (cl == NULL || cl > end)
		die("a reply without Content-Length");
	size_t body = strtoull(cl + 15, NULL, 10);
	*good = strncmp(c->in, "HTTP/1.1 200", 12) == 0 && body == expect;
	return (size_t)(end + 4 - c->in) + body;
}

static int
receive(struct conn *c)
{
	size_t room = sizeof(c->in) - 1 - c->have;
	int n = c->ssl != NULL ? SSL_read(c->ssl, c->in + c->have, (int)room)
			       : (int)read(c->fd, c->in + c->have, room);

	if (n > 0) {
		c->have += (size_t)n;
		return 1;
	}
	if (c->ssl != NULL
		? SSL_get_error(c->ssl, n) == SSL_ERROR_WANT_READ
		: n < 0 && errno == EAGAIN)
		return 0;
	die("a connection was closed");
	return -1;
}

static void
serve(struct conn *c, const struct options *o, bool again)
{
	bool good = false;

	while (receive(c) == 1) {
		size_t n = response_len(c, &good, o->expect);
		if (n == 0 || c->have < n)
			continue;
		if (total.n < SAMPLES_MAX)
			total.samples[total.n++] =
			    (uint32_t)((now_ns() - c->began) / 1000);
		total.errors += !good || c->have != n;
		if (again)
			fire(c);
		return;
	}
}

static int
by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static double
run(const struct options *o, struct conn *conns)
{
	struct epoll_event events[256];
	int ep = epoll_create1(0);
	uint64_t began = now_ns();
	uint64_t until = began + (uint64_t)(o->seconds * 1e9);

	for (int i = 0; i < o->connections; i++) {
		struct epoll_event e = {
		    .events = EPOLLIN, .data.ptr = &conns[i]};
		epoll_ctl(ep, EPOLL_CTL_ADD, conns[i].fd, &e);
		fire(&conns[i]);
	}
	while (now_ns() < until) {
		int n = epoll_wait(ep, events, 256, 1000);
		for (int i = 0; i < n; i++)
			serve(events[i].data.ptr, o, true);
	}
	return (double)(now_ns() - began) / 1e9;
}

static struct options
parse(int argc, char **argv)
{
	static const struct option longs[] = {
		{"unix", 1, 0, 'u'}, {"tcp", 1, 0, 'p'}, {"attach", 1, 0, 'a'},
		{"connect", 1, 0, 'C'}, {"tls", 1, 0, 's'},
		{"ca", 1, 0, 'A'}, {"path", 1, 0, 'P'},
		{"header", 1, 0, 'H'}, {"expect-bytes", 1, 0, 'e'},
		{0, 0, 0, 0}};
	struct options o = {.path = "/", .connections = 1, .seconds = 3};
	int c;

	while ((c = getopt_long(argc, argv, "c:t:", longs, NULL)) != -1) {
		switch (c) {
		case 'u': o.unix_path = optarg; break;
		case 'p': o.tcp = optarg; break;
		case 'a': o.attach = optarg; break;
		case 'C': o.connect = optarg; break;
		case 's': o.tls = optarg; break;
		case 'A': o.ca = optarg; break;
		case 'P': o.path = optarg; break;
		case 'H': o.header = optarg; break;
		case 'e': o.expect = strtoull(optarg, NULL, 10); break;
		case 'c': o.connections = atoi(optarg); break;
		case 't': o.seconds = atof(optarg); break;
		default: exit(2);
		}
	}
	return o;
}

int
main(int argc, char **argv)
{
	struct options o = parse(argc, argv);
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	struct conn *conns =
	    calloc((size_t)o.connections, sizeof(struct conn));

	total.samples = malloc(SAMPLES_MAX * sizeof(uint32_t));
	if (ctx == NULL || conns == NULL || total.samples == NULL)
		die("memory");
	if (o.ca != NULL && SSL_CTX_load_verify_locations(ctx, o.ca, 0) != 1)
		die("--ca");
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	request_len = (size_t)snprintf(request, sizeof(request),
	    "GET %s HTTP/1.1\r\nHost: %s\r\n%s%s\r\n", o.path,
	    o.tls != NULL ? o.tls : "localhost",
	    o.header != NULL ? o.header : "", o.header != NULL ? "\r\n" : "");
	for (int i = 0; i < o.connections; i++)
		open_conn(&o, ctx, &conns[i]);
	double took = run(&o, conns);
	qsort(total.samples, total.n, sizeof(uint32_t), by_value);
	printf("{\"requests\":%zu,\"seconds\":%.3f,\"errors\":%llu,"
	       "\"p50_us\":%u,\"p99_us\":%u}\n",
	    total.n, took, (unsigned long long)total.errors,
	    total.n ? total.samples[total.n / 2] : 0,
	    total.n ? total.samples[total.n * 99 / 100] : 0);
	free(conns);
	return total.errors != 0;
}
