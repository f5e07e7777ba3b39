/* SPDX-License-Identifier: ISC */
/*
 * A load generator. N connections, one request in flight on each, every
 * reply checked (status, length, and that the body is all of one byte).
 *
 *	load --unix SOCK --attach TOKEN --connect HOST:443 --tls HOST
 *	     --ca FILE --path /x -c 64 -t 5 --expect-bytes 1024
 *	load --tcp 127.0.0.1:8443 --tls HOST --ca FILE ...
 *	load --tcp ADDR --connect HOST:PORT --tls HOST    (an HTTP proxy)
 *	load --unix SOCK --attach TOKEN --path /RANDOM/NAME/x    (base URL)
 *	load --vsock CID:PORT ...	(as --unix)
 *
 * --mode keep	(default) connections are made first, uncounted; then an
 *		epoll loop
 * --mode full	each request on a connection of its own, full handshake
 * --mode resume	the same with the session of the one before
 * --mode idle	make the connections, one request on each, say so on
 *		stdout, and hold them until standard input ends
 *
 * --post N	the request carries N bytes
 * --proxy-header L	a line of the CONNECT request
 *
 * Prints "ready" when the connections are made, then one JSON line: requests, seconds, errors, resumed, p50_us, p99_us,
 * and first_us, the median until the first byte of a reply.
 */
#include <openssl/ssl.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <linux/vm_sockets.h>
#include <time.h>
#include <unistd.h>

#define SAMPLES_MAX 4000000
#define HEAD_MAX 16384
#define PIECE 65536

enum mode { KEEP, FULL, RESUME, IDLE };

struct options {
	const char *unix_path, *vsock, *tcp, *attach, *connect, *tls, *ca;
	const char *path, *header, *proxy_header, *host;
	int connections;
	double seconds;
	size_t expect, post;
	enum mode mode;
};

struct conn {
	int fd;
	SSL *ssl;
	char head[HEAD_MAX];
	size_t have; /* of the head */
	size_t left; /* of the body; valid once in_body */
	bool in_body, good;
	size_t unsent; /* of the request */
	uint64_t began, first;
};

static struct {
	pthread_mutex_t lock;
	uint32_t *took, *first;
	size_t n;
	uint64_t errors, resumed;
} total = {.lock = PTHREAD_MUTEX_INITIALIZER};

static char *request;
static size_t request_len;
static struct options o;
static SSL_CTX *ctx;

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

static socklen_t
address(struct sockaddr_storage *out)
{
	struct sockaddr_un *un = (void *)out;
	struct sockaddr_vm *vm = (void *)out;
	struct sockaddr_in *in = (void *)out;
	char host[64];
	unsigned port;

	if (o.unix_path != NULL) {
		un->sun_family = AF_UNIX;
		snprintf(un->sun_path, sizeof(un->sun_path), "%s", o.unix_path);
		return sizeof(*un);
	}
	if (o.vsock != NULL) {
		vm->svm_family = AF_VSOCK;
		if (sscanf(o.vsock, "%u:%u", &vm->svm_cid, &vm->svm_port) != 2)
			die("--vsock");
		return sizeof(*vm);
	}
	in->sin_family = AF_INET;
	if (o.tcp == NULL || sscanf(o.tcp, "%63[^:]:%u", host, &port) != 2 ||
	    inet_pton(AF_INET, host, &in->sin_addr) != 1)
		die("--tcp");
	in->sin_port = htons((uint16_t)port);
	return sizeof(*in);
}

static int
dial(void)
{
	struct sockaddr_storage a = {0};
	socklen_t n = address(&a);
	int one = 1, fd = socket(a.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&a, n) != 0)
		die("connect");
	if (a.ss_family == AF_INET)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

/* ATTACH and CONNECT in one write, then the answer to CONNECT. */
static void
proxy_hello(int fd)
{
	char line[8000], c;
	size_t n = 0;
	int want = 0;

	if (o.attach != NULL)
		want += snprintf(line, sizeof(line), "ATTACH %s\r\n", o.attach);
	if (o.connect != NULL)
		want += snprintf(line + want, sizeof(line) - (size_t)want,
		    "CONNECT %s HTTP/1.1\r\nHost: %s\r\n%s%s\r\n", o.connect,
		    o.connect, o.proxy_header ? o.proxy_header : "",
		    o.proxy_header ? "\r\n" : "");
	if (want > 0 && write(fd, line, (size_t)want) != want)
		die("write");
	if (o.connect == NULL)
		return;
	while (n < sizeof(line) - 1 && read(fd, &c, 1) == 1) {
		line[n++] = c;
		if (n >= 4 && memcmp(line + n - 4, "\r\n\r\n", 4) == 0)
			break;
	}
	line[n] = '\0';
	if (n < 12 || strncmp(line + 8, " 200", 4) != 0) {
		fprintf(stderr, "load: CONNECT: %.80s\n", line);
		exit(1);
	}
}

static void
open_conn(struct conn *c, SSL_SESSION *session)
{
	c->fd = dial();
	proxy_hello(c->fd);
	if (o.tls == NULL)
		return;
	c->ssl = SSL_new(ctx);
	SSL_set_fd(c->ssl, c->fd);
	SSL_set_tlsext_host_name(c->ssl, o.tls);
	SSL_set1_host(c->ssl, o.tls);
	if (session != NULL)
		SSL_set_session(c->ssl, session);
	if (SSL_connect(c->ssl) != 1)
		die("TLS");
}

static void
close_conn(struct conn *c)
{
	/* Freed without it, its session would not be resumed. */
	if (c->ssl != NULL)
		(void)SSL_shutdown(c->ssl);
	SSL_free(c->ssl);
	close(c->fd);
	c->ssl = NULL;
}

/* > 0 bytes; 0 not now. */
static int
put(struct conn *c, const char *p, size_t n)
{
	int r = c->ssl != NULL ? SSL_write(c->ssl, p, (int)n)
			       : (int)write(c->fd, p, n);

	if (r > 0)
		return r;
	if (c->ssl != NULL ? SSL_get_error(c->ssl, r) == SSL_ERROR_WANT_WRITE ||
				 SSL_get_error(c->ssl, r) == SSL_ERROR_WANT_READ
			   : errno == EAGAIN)
		return 0;
	die("send");
	return 0;
}

static int
get(struct conn *c, char *p, size_t n)
{
	int r = c->ssl != NULL ? SSL_read(c->ssl, p, (int)n)
			       : (int)read(c->fd, p, n);

	if (r > 0)
		return r;
	if (c->ssl != NULL ? SSL_get_error(c->ssl, r) == SSL_ERROR_WANT_READ
			   : r < 0 && errno == EAGAIN)
		return 0;
	die("a connection was closed");
	return 0;
}

static void
push(struct conn *c)
{
	while (c->unsent > 0) {
		size_t n = c->unsent < PIECE ? c->unsent : PIECE;
		int r = put(c, request + request_len - c->unsent, n);
		if (r == 0)
			return;
		c->unsent -= (size_t)r;
	}
}

static void
fire(struct conn *c)
{
	c->began = now_ns();
	c->first = 0;
	c->have = 0;
	c->in_body = false;
	c->unsent = request_len;
	push(c);
}

/* All of one byte: what came is what the origin holds. */
static bool
uniform(const char *p, size_t n)
{
	return n == 0 || (p[0] == 'x' && memcmp(p, p + 1, n - 1) == 0);
}

static void
read_head(struct conn *c)
{
	char *end, *cl;

	c->head[c->have] = '\0';
	if ((end = strstr(c->head, "\r\n\r\n")) == NULL) {
		if (c->have == HEAD_MAX - 1)
			die("a long head");
		return;
	}
	if ((cl = strcasestr(c->head, "content-length:")) == NULL || cl > end)
		die("a reply without Content-Length");
	size_t body = strtoull(cl + 15, NULL, 10);
	size_t got = c->have - (size_t)(end + 4 - c->head);
	c->good = strncmp(c->head, "HTTP/1.1 200", 12) == 0 &&
		  body == o.expect && got <= body && uniform(end + 4, got);
	c->in_body = true;
	c->left = got <= body ? body - got : 0;
}

static void
sample(struct conn *c)
{
	uint64_t end = now_ns();

	pthread_mutex_lock(&total.lock);
	if (total.n < SAMPLES_MAX) {
		total.first[total.n] = (uint32_t)((c->first - c->began) / 1000);
		total.took[total.n++] = (uint32_t)((end - c->began) / 1000);
	}
	total.errors += !c->good;
	pthread_mutex_unlock(&total.lock);
}

/* True: the reply is whole. */
static bool
pull(struct conn *c)
{
	static _Thread_local char piece[PIECE];

	for (;;) {
		bool head = !c->in_body;
		int n = head ? get(c, c->head + c->have, HEAD_MAX - 1 - c->have)
			     : get(c, piece, c->left < PIECE ? c->left : PIECE);
		if (n == 0)
			return false;
		if (c->first == 0)
			c->first = now_ns();
		if (head) {
			c->have += (size_t)n;
			read_head(c);
		} else {
			c->good = c->good && uniform(piece, (size_t)n);
			c->left -= (size_t)n;
		}
		if (c->in_body && c->left == 0)
			return true;
	}
}

static void
epoll_keep(struct conn *conns, uint64_t until)
{
	struct epoll_event events[256];
	int ep = epoll_create1(0);

	for (int i = 0; i < o.connections; i++) {
		struct epoll_event e = {
		    .events = EPOLLIN | (o.post ? EPOLLOUT | EPOLLET : 0),
		    .data.ptr = &conns[i]};
		fcntl(conns[i].fd, F_SETFL, O_NONBLOCK);
		fire(&conns[i]);
		epoll_ctl(ep, EPOLL_CTL_ADD, conns[i].fd, &e);
	}
	while (now_ns() < until) {
		int n = epoll_wait(ep, events, 256, 100);
		for (int i = 0; i < n; i++) {
			struct conn *c = events[i].data.ptr;
			push(c);
			while (pull(c)) {
				sample(c);
				fire(c);
			}
		}
	}
	close(ep);
}

/* One blocking connection after another. */
static void *
reconnect(void *arg)
{
	uint64_t until = *(uint64_t *)arg;
	SSL_SESSION *session = NULL;
	struct conn c = {.fd = -1};

	while (now_ns() < until) {
		uint64_t began = now_ns();
		open_conn(&c, o.mode == RESUME ? session : NULL);
		if (c.ssl != NULL && SSL_session_reused(c.ssl)) {
			pthread_mutex_lock(&total.lock);
			total.resumed++;
			pthread_mutex_unlock(&total.lock);
		}
		fire(&c);
		c.began = began;
		while (!pull(&c))
			push(&c);
		sample(&c);
		if (o.mode == RESUME) {
			SSL_SESSION_free(session);
			session = SSL_get1_session(c.ssl);
		}
		close_conn(&c);
	}
	SSL_SESSION_free(session);
	return NULL;
}

static void
run_reconnect(uint64_t until)
{
	pthread_t *t = calloc((size_t)o.connections, sizeof(*t));

	for (int i = 0; i < o.connections; i++)
		if (pthread_create(&t[i], NULL, reconnect, &until) != 0)
			die("thread");
	for (int i = 0; i < o.connections; i++)
		pthread_join(t[i], NULL);
	free(t);
}

static void
idle(struct conn *conns)
{
	char c;

	for (int i = 0; i < o.connections; i++) {
		fire(&conns[i]);
		while (!pull(&conns[i]))
			push(&conns[i]);
		sample(&conns[i]);
	}
	printf("held\n");
	fflush(stdout);
	while (read(0, &c, 1) > 0)
		;
}

static double
run(void)
{
	struct conn *conns = calloc((size_t)o.connections, sizeof(*conns));
	uint64_t began, until;

	if (conns == NULL)
		die("memory");
	if (o.mode == KEEP || o.mode == IDLE)
		for (int i = 0; i < o.connections; i++)
			open_conn(&conns[i], NULL);
	printf("ready\n");
	fflush(stdout);
	began = now_ns();
	until = began + (uint64_t)(o.seconds * 1e9);
	if (o.mode == KEEP)
		epoll_keep(conns, until);
	else if (o.mode == IDLE)
		idle(conns);
	else
		run_reconnect(until);
	free(conns);
	return (double)(now_ns() - began) / 1e9;
}

static enum mode
mode_of(const char *s)
{
	static const char *const names[] = {"keep", "full", "resume", "idle"};

	for (int i = 0; i < 4; i++)
		if (strcmp(names[i], s) == 0)
			return (enum mode)i;
	die("--mode");
	return KEEP;
}

static void
parse(int argc, char **argv)
{
	static const struct option longs[] = {{"unix", 1, 0, 'u'},
	    {"vsock", 1, 0, 'v'}, {"tcp", 1, 0, 'p'}, {"attach", 1, 0, 'a'},
	    {"connect", 1, 0, 'C'},
	    {"tls", 1, 0, 's'}, {"ca", 1, 0, 'A'}, {"path", 1, 0, 'P'},
	    {"header", 1, 0, 'H'}, {"expect-bytes", 1, 0, 'e'},
	    {"post", 1, 0, 'b'}, {"mode", 1, 0, 'm'}, {"host", 1, 0, 'h'},
	    {"proxy-header", 1, 0, 'x'}, {0, 0, 0, 0}};
	int c;

	o = (struct options){.path = "/", .connections = 1, .seconds = 3};
	while ((c = getopt_long(argc, argv, "c:t:", longs, NULL)) != -1) {
		switch (c) {
		case 'u':
			o.unix_path = optarg;
			break;
		case 'v':
			o.vsock = optarg;
			break;
		case 'p':
			o.tcp = optarg;
			break;
		case 'a':
			o.attach = optarg;
			break;
		case 'C':
			o.connect = optarg;
			break;
		case 's':
			o.tls = optarg;
			break;
		case 'A':
			o.ca = optarg;
			break;
		case 'P':
			o.path = optarg;
			break;
		case 'H':
			o.header = optarg;
			break;
		case 'h':
			o.host = optarg;
			break;
		case 'x':
			o.proxy_header = optarg;
			break;
		case 'e':
			o.expect = strtoull(optarg, NULL, 10);
			break;
		case 'b':
			o.post = strtoull(optarg, NULL, 10);
			break;
		case 'm':
			o.mode = mode_of(optarg);
			break;
		case 'c':
			o.connections = atoi(optarg);
			break;
		case 't':
			o.seconds = atof(optarg);
			break;
		default:
			exit(2);
		}
	}
}

static void
make_request(void)
{
	char length[64] = "";
	const char *host = o.host ? o.host : o.tls ? o.tls : "localhost";
	int n;

	request = malloc(HEAD_MAX + o.post);
	if (request == NULL)
		die("memory");
	if (o.post > 0)
		snprintf(
		    length, sizeof(length), "Content-Length: %zu\r\n", o.post);
	n = snprintf(request, HEAD_MAX,
	    "%s %s HTTP/1.1\r\nHost: %s\r\n%s%s%s\r\n", o.post ? "POST" : "GET",
	    o.path, host, o.header ? o.header : "", o.header ? "\r\n" : "",
	    length);
	memset(request + n, 'x', o.post);
	request_len = (size_t)n + o.post;
}

static void
make_context(void)
{
	ctx = SSL_CTX_new(TLS_client_method());
	if (ctx == NULL)
		die("TLS");
	if (o.ca != NULL && SSL_CTX_load_verify_locations(ctx, o.ca, 0) != 1)
		die("--ca");
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE |
				  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT);
}

static int
by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

int
main(int argc, char **argv)
{
	size_t bytes = SAMPLES_MAX * sizeof(uint32_t);

	signal(SIGPIPE, SIG_IGN);
	parse(argc, argv);
	make_context();
	make_request();
	total.took = malloc(bytes);
	total.first = malloc(bytes);
	if (total.took == NULL || total.first == NULL)
		die("memory");
	double took = run();
	size_t n = total.n;
	qsort(total.took, n, sizeof(uint32_t), by_value);
	qsort(total.first, n, sizeof(uint32_t), by_value);
	printf("{\"requests\":%zu,\"seconds\":%.3f,\"errors\":%llu,"
	       "\"resumed\":%llu,\"p50_us\":%u,\"p99_us\":%u,"
	       "\"first_us\":%u}\n",
	    n, took, (unsigned long long)total.errors,
	    (unsigned long long)total.resumed, n ? total.took[n / 2] : 0,
	    n ? total.took[n * 99 / 100] : 0, n ? total.first[n / 2] : 0);
	return total.errors != 0 || n == 0;
}
