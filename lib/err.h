/* SPDX-License-Identifier: ISC */
/*
 * The one list of failures. Functions return 0 for good, or one of these;
 * out-parameters are untouched on failure.
 */
#ifndef LIB_ERR_H
#define LIB_ERR_H

enum err {
	ERR_NONE = 0,
	ERR_NOMEM = -1,	     /* allocation failed */
	ERR_FORMAT = -2,     /* foreign bytes break a grammar */
	ERR_TOO_BIG = -3,    /* a stated limit is crossed */
	ERR_TRUNCATED = -4,  /* more bytes are needed */
	ERR_NOT_FOUND = -5,  /* no such thing */
	ERR_EXISTS = -6,     /* there already */
	ERR_DENIED = -7,     /* a rule forbids it */
	ERR_LOCKED = -8,     /* the vault or keychain is locked */
	ERR_UNAVAILABLE = -9, /* a dependency does not answer */
	ERR_IO = -10,	     /* the system failed us; errno tells */
	ERR_CRYPTO = -11,    /* a signature, tag or key is wrong */
	ERR_EXPIRED = -12,   /* past its time */
	ERR_SEQUENCE = -13,     /* not now: wrong state */
	ERR_ARGUMENT = -14,  /* the caller's words are off */
	ERR_CLOCK = -15	     /* the wall clock stepped back too far */
};

/* Must-use results. A cast to void needs a reason beside it. */
#define MUST_USE __attribute__((warn_unused_result))

/* A short English phrase for an err, for people ("no such thing"). */
const char *err_text(int err);

#endif
