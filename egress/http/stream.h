/* SPDX-License-Identifier: ISC */
/*
 * A non-blocking byte stream over a socket, plain or TLS, on a libev loop.
 * TLS is hidden: the same calls, the same events.
 *
 * Input lies in a buffer of 32 KiB: the owner looks at stream_input(),
 * and takes what it can with stream_consume(). What is not taken stays,
 * and when the buffer is full nothing is read any more: that is all there
 * is to backpressure inwards. Outwards, stop writing when stream_queued()
 * is STREAM_HIGH or more, and go on at STREAM_DRAINED.
 *
 *	static void
 *	on_event(void *ctx, struct stream *s, enum stream_event e, int err)
 *
 *	STREAM_OPEN	the TLS handshake is done (TLS only)
 *	STREAM_INPUT	more input than before
 *	STREAM_EOF	the far end sends no more; err is ERR_TRUNCATED when
 *			TLS did not say so itself (no close_notify)
 *	STREAM_DRAINED	the queue fell to STREAM_LOW or less after it had
 *			been STREAM_HIGH or more
 *	STREAM_CLOSED	after stream_finish(): all was sent and the far end
 *			has it or had its time
 *	STREAM_BROKEN	err: ERR_UNAVAILABLE the far end is gone, ERR_CRYPTO
 *			TLS failed, ERR_IO, ERR_NOMEM. Nothing follows.
 *
 * The owner may call anything from within an event, stream_free() too.
 */
#ifndef EGRESS_HTTP_STREAM_H
#define EGRESS_HTTP_STREAM_H

#include "lib/buf.h"

#include <ev.h>
#include <openssl/ssl.h>

#define STREAM_INPUT_MAX (32 * 1024)
#define STREAM_LOW (32 * 1024)
#define STREAM_HIGH (128 * 1024)
/* More queued than this is the owner's mistake: ERR_TOO_BIG. */
#define STREAM_QUEUE_MAX (1024 * 1024)
/* How long, and for how many bytes, stream_finish() waits for the far end
 * to close once all was sent. How long sending may take is the owner's to
 * bound. */
#define STREAM_FINISH_S 2.0
#define STREAM_FINISH_BYTES (256 * 1024)

enum stream_event {
	STREAM_OPEN,
	STREAM_INPUT,
	STREAM_EOF,
	STREAM_DRAINED,
	STREAM_CLOSED,
	STREAM_BROKEN
};

struct stream;
typedef void
stream_handler(void *ctx, struct stream *s, enum stream_event event, int err);

/* Takes fd (non-blocking; closed on failure too) and starts reading. Input
 * is wiped once consumed. */
MUST_USE int stream_new(struct ev_loop *loop, int fd, stream_handler *handler,
    void *ctx, struct stream **out);

/* From here on it is TLS: takes ssl (freed on failure too), whose role and
 * checks the owner has set (tls.h). Input not consumed yet is the first of
 * it. Nothing may be queued but what went before the handshake. */
MUST_USE int stream_start_tls(struct stream *s, SSL *ssl);
SSL *stream_ssl(struct stream *s); /* borrowed; NULL when plain */

/* What was read and not consumed. Valid until the next call. */
struct span stream_input(const struct stream *s);
void stream_consume(struct stream *s, size_t n);

/* Queue bytes; written when the loop next turns. With TLS they are
 * encrypted here and now: no plaintext is kept. A server's first ones bring
 * its ticket along, which by itself would cost a write, and the client a
 * wake-up. ERR_SEQUENCE before STREAM_OPEN, and after stream_finish() or
 * stream_shutdown(). */
MUST_USE int stream_write(struct stream *s, struct span bytes);
/* All of b, which is emptied (wiped). */
MUST_USE int stream_write_buf(struct stream *s, struct buf *b);
size_t stream_queued(const struct stream *s);
/* Called right before bytes of s are handed to the kernel, each time. An
 * err: none of them go out; whoever said so ends s soon, not from within. */
void stream_before_send(struct stream *s, int (*check)(void *ctx), void *ctx);

/* Send what is queued, then say that no more comes (half-close). Reading
 * goes on. */
void stream_shutdown(struct stream *s);
/* Orderly end: send what is queued, half-close, throw input away until the
 * far end closes or its time is up, then STREAM_CLOSED. No other event but
 * STREAM_BROKEN comes any more. */
void stream_finish(struct stream *s);
/* Reset: drop the queue, close, now. No event follows. For revocation: when
 * it returns, nothing is written any more; what the kernel still held of an
 * upstream's is dropped, too, for the dialer's sockets have linger 0. */
void stream_abort(struct stream *s);
/* As stream_abort(), and free. NULL is fine. */
void stream_free(struct stream *s);

/* STREAM_EOF has come, and our own end was sent. */
bool stream_eof(const struct stream *s);
/* Not a byte was read that was not consumed, in no layer, nor an end. */
bool stream_empty(const struct stream *s);
/* Nor has one come: looks at the socket as well. For a kept connection before
 * it is used again. */
bool stream_quiet(const struct stream *s);
/* Once in a while: a stream on which nothing has moved since the last call
 * gives back its empty buffers, OpenSSL's too. True: it did so now, which
 * malloc_trim() is worth. */
bool stream_rest(struct stream *s);
int stream_fd(const struct stream *s); /* -1 after an abort */

#endif
