/* SPDX-License-Identifier: ISC */
/* What for: backup and restore. Trusts: the passphrase; of a file, nothing.
 * At a bound: refuses before it takes in the first credential. */
#include "vault/backup.h"

#include "vault/house_in.h"
#include "vault/keysource.h"

#include <sodium.h>
#include <stdlib.h>

static const char magic[] = "HATCHECK-BACKUP-1\n";
#define MAGIC (sizeof(magic) - 1)
#define HEAD (MAGIC + 8 + 8 + SEAL_SALT)
#define STREAM crypto_secretstream_xchacha20poly1305_HEADERBYTES
#define EXTRA crypto_secretstream_xchacha20poly1305_ABYTES
#define RECORD_MAX (4 + METADATA_JSON_MAX + KEEP_MAX)

typedef crypto_secretstream_xchacha20poly1305_state stream_state;

struct writer {
	stream_state stream;
	uint8_t head[HEAD];
	struct buf *out;
};

static void
put_u64(uint8_t *p, uint64_t v)
{
	for (int i = 0; i < 8; i++)
		p[i] = (uint8_t)(v >> (56 - 8 * i));
}

static uint64_t
get_big(const uint8_t *p, int n)
{
	uint64_t v = 0;

	for (int i = 0; i < n; i++)
		v = v << 8 | p[i];
	return v;
}

static int
write_message(struct writer *w, struct span plain, uint8_t tag)
{
	uint8_t *p;
	int r;

	if ((r = buf_put_u32(w->out, (uint32_t)(plain.n + EXTRA))) != 0 ||
	    (r = buf_reserve(w->out, plain.n + EXTRA, &p)) != 0)
		return r;
	crypto_secretstream_xchacha20poly1305_push(
	    &w->stream, p, NULL, plain.p, plain.n, w->head, HEAD, tag);
	buf_claim(w->out, plain.n + EXTRA);
	return 0;
}

static int
write_credential(void *ctx, const struct metadata *m, const struct keep *value)
{
	struct writer *w = ctx;
	struct buf *plain = buf_new_locked(RECORD_MAX);
	json_t *json = metadata_to_json(m);
	char *text = json == NULL ? NULL : json_dumps(json, JSON_COMPACT);
	int r = plain == NULL || text == NULL ? ERR_NOMEM : 0;

	if (r == 0 && (r = buf_put_u32(plain, (uint32_t)strlen(text))) == 0 &&
	    (r = buf_put_str(plain, text)) == 0 &&
	    (r = buf_put_span(plain, keep_reveal(value))) == 0)
		r = write_message(w, buf_span(plain), 0);
	free(text);
	json_decref(json);
	buf_free(plain);
	return r;
}

static int
write_head(
    struct writer *w, const struct keep *key, const struct seal_cost *cost)
{
	uint8_t *p;
	int r;

	memcpy(w->head, magic, MAGIC);
	put_u64(w->head + MAGIC, cost->ops);
	put_u64(w->head + MAGIC + 8, cost->mem);
	memcpy(w->head + MAGIC + 16, cost->salt, SEAL_SALT);
	if ((r = buf_put(w->out, w->head, HEAD)) != 0 ||
	    (r = buf_reserve(w->out, STREAM, &p)) != 0)
		return r;
	crypto_secretstream_xchacha20poly1305_init_push(
	    &w->stream, p, keep_reveal(key).p);
	buf_claim(w->out, STREAM);
	return 0;
}

static int
check_passphrase(
    struct house *h, const struct keep *passphrase, struct house_words *w)
{
	if (passphrase != NULL && keep_len(passphrase) >= PASSPHRASE_MIN)
		return 0;
	return house_fail(h, w, ERR_ARGUMENT, "Give a longer one.",
	    "A backup's passphrase has at least %d bytes.", PASSPHRASE_MIN);
}

int
backup_make(struct house *h, const struct keep *passphrase, struct buf *out,
    struct house_words *words)
{
	struct writer w = {.out = out};
	struct keep *key = NULL;
	struct seal_cost cost;
	int r;

	seal_cost_fresh(&cost);
	if ((r = check_passphrase(h, passphrase, words)) != 0)
		return r;
	r = seal_key_from_passphrase(keep_reveal(passphrase), &cost, &key);
	if (r == 0 && (r = write_head(&w, key, &cost)) == 0 &&
	    (r = house_each(h, write_credential, &w, words)) == 0)
		r = write_message(&w, (struct span){0},
		    crypto_secretstream_xchacha20poly1305_TAG_FINAL);
	keep_free(key);
	sodium_memzero(&w.stream, sizeof(w.stream));
	if (r != 0 && words->what[0] == '\0')
		return house_fail(h, words, r, "hatcheck logs",
		    "The backup could not be made: %s.", err_text(r));
	return r;
}

/* --- restore --------------------------------------------------------- */

struct reader {
	stream_state stream;
	struct span head, rest;
	bool final;
};

static int
open_file(struct span file, const struct keep *passphrase, struct reader *out)
{
	struct seal_cost cost;
	struct keep *key = NULL;
	int r;

	if (file.n < HEAD + STREAM || memcmp(file.p, magic, MAGIC) != 0)
		return ERR_FORMAT;
	cost.ops = get_big(file.p + MAGIC, 8);
	cost.mem = get_big(file.p + MAGIC + 8, 8);
	memcpy(cost.salt, file.p + MAGIC + 16, SEAL_SALT);
	r = seal_key_from_passphrase(keep_reveal(passphrase), &cost, &key);
	if (r != 0)
		return r;
	out->head = span_of(file.p, HEAD);
	out->rest = span_from(file, HEAD + STREAM);
	out->final = false;
	if (crypto_secretstream_xchacha20poly1305_init_pull(
		&out->stream, file.p + HEAD, keep_reveal(key).p) != 0)
		r = ERR_CRYPTO;
	keep_free(key);
	return r;
}

/* The next message into plain; empty at the end. */
static int
next_message(struct reader *f, struct buf *plain)
{
	unsigned long long got = 0;
	uint8_t tag, *p;
	size_t n;
	int r;

	buf_reset(plain);
	if (f->rest.n < 4)
		return ERR_CRYPTO;
	n = (size_t)get_big(f->rest.p, 4);
	if (n < EXTRA || n - EXTRA > RECORD_MAX || f->rest.n - 4 < n)
		return ERR_CRYPTO;
	if ((r = buf_reserve(plain, n - EXTRA + 1, &p)) != 0)
		return r;
	if (crypto_secretstream_xchacha20poly1305_pull(&f->stream, p, &got,
		&tag, f->rest.p + 4, n, f->head.p, f->head.n) != 0)
		return ERR_CRYPTO;
	buf_claim(plain, (size_t)got);
	f->rest = span_from(f->rest, 4 + n);
	f->final = tag == crypto_secretstream_xchacha20poly1305_TAG_FINAL;
	if (f->final)
		return got == 0 && f->rest.n == 0 ? 0 : ERR_CRYPTO;
	return got > 4 ? 0 : ERR_CRYPTO;
}

typedef int take_fn(struct house *h, const struct metadata *m,
    const struct keep *value, struct house_words *w);

static int
take_one(
    struct house *h, struct span record, take_fn *take, struct house_words *w)
{
	size_t n = (size_t)get_big(record.p, 4);
	struct keep *value = NULL;
	struct metadata m;
	char why[256];
	int r;

	if (n > record.n - 4)
		return ERR_CRYPTO;
	metadata_init(&m);
	if (metadata_parse(span_of(record.p + 4, n), &m, why, sizeof(why)) != 0)
		return ERR_FORMAT;
	struct span v = span_from(record, 4 + n);
	if ((r = keep_new(v.p, v.n, &value)) == 0)
		r = take(h, &m, value, w);
	keep_free(value);
	metadata_free(&m);
	return r;
}

static int
walk(struct house *h, struct span file, const struct keep *passphrase,
    take_fn *take, size_t *n, struct house_words *w)
{
	struct buf *plain = buf_new_locked(RECORD_MAX + 1);
	struct reader f;
	int r = plain == NULL ? ERR_NOMEM : open_file(file, passphrase, &f);

	*n = 0;
	while (r == 0 && (r = next_message(&f, plain)) == 0 && !f.final) {
		house_begin(h, backend_now_ms());
		r = take_one(h, buf_span(plain), take, w);
		(*n)++;
	}
	sodium_memzero(&f.stream, sizeof(f.stream));
	buf_free(plain);
	return r;
}

int
backup_restore(struct house *h, const struct keep *passphrase, struct span file,
    size_t *n, struct house_words *w)
{
	int r;

	if ((r = check_passphrase(h, passphrase, w)) != 0 ||
	    (r = house_need_open(h, w)) != 0)
		return r;
	if ((r = walk(h, file, passphrase, house_restore_check, n, w)) == 0)
		r = walk(h, file, passphrase, house_restore, n, w);
	if (r == ERR_FORMAT)
		return house_fail(h, w, r, "Check the file's name.",
		    "This is no backup of Hatcheck that this version reads.");
	if (r == ERR_CRYPTO)
		return house_fail(h, w, r, "Check passphrase and file.",
		    "The passphrase is wrong, or the backup is damaged.");
	return r;
}
