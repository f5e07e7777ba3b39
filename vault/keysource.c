/* SPDX-License-Identifier: ISC */
/* What for: the key that wraps the house key. Trusts: safefile for who can
 * read the file. At a bound: refuses with a sentence. */
#include "vault/keysource.h"

#include "lib/safefile.h"
#include "messages/control.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define MATERIAL_MAX 65536

static int born = -1; /* CREDENTIAL_FD, if there is something */

void
keysource_born_with(int fd)
{
	born = fd;
}

int
keysource_path(const struct config_choice *c, char out[static PATH_MAX],
    char *why, size_t size)
{
	const char *dir;
	int n;

	if (c->key == CONFIG_KEY_FILE) {
		n = snprintf(out, PATH_MAX, "%s", c->path);
		return n < PATH_MAX ? 0 : ERR_TOO_BIG;
	}
	if (c->key != CONFIG_KEY_SYSTEMD)
		return ERR_ARGUMENT;
	dir = getenv("CREDENTIALS_DIRECTORY");
	if (dir == NULL || dir[0] != '/') {
		snprintf(why, size,
		    "systemd gave no credentials: the unit lacks "
		    "LoadCredentialEncrypted=%s.",
		    c->name);
		return ERR_NOT_FOUND;
	}
	n = snprintf(out, PATH_MAX, "%s/%s", dir, c->name);
	return n < PATH_MAX ? 0 : ERR_TOO_BIG;
}

static bool
is_born(const struct config_choice *c)
{
	return born >= 0 && c->key == CONFIG_KEY_SYSTEMD &&
	       strcmp(c->name, CREDENTIAL_NAME) == 0;
}

/* From the beginning each time: the descriptor is shared with those that
 * were born with it before. */
static int
read_born(struct buf *b, char *why, size_t size)
{
	uint8_t *p = NULL;
	ssize_t n = -1;

	if (buf_reserve(b, MATERIAL_MAX, &p) == 0)
		n = pread(born, p, MATERIAL_MAX, 0);
	if (n < 0) {
		snprintf(why, size, "The systemd credential %s is unreadable.",
		    CREDENTIAL_NAME);
		return ERR_IO;
	}
	buf_claim(b, (size_t)n);
	return 0;
}

static int
read_path(const struct config_choice *c, struct buf *b, char *why, size_t size)
{
	char path[PATH_MAX];
	int r = keysource_path(c, path, why, size);

	return r != 0 ? r
		      : safefile_read(path, MATERIAL_MAX, true, b, why, size);
}

static int
from_file(
    const struct config_choice *c, struct keep **out, char *why, size_t size)
{
	struct buf *b = buf_new_locked(MATERIAL_MAX);
	int r;

	if (b == NULL)
		return ERR_NOMEM;
	r = is_born(c) ? read_born(b, why, size) : read_path(c, b, why, size);
	if (r == 0 && buf_len(b) < SEAL_KEY) {
		snprintf(why, size, "The key file %s is shorter than %d bytes.",
		    c->key == CONFIG_KEY_SYSTEMD ? c->name : c->path, SEAL_KEY);
		r = ERR_FORMAT;
	}
	if (r == 0)
		r = seal_key_from_material(buf_span(b), "hatcheck-file", out);
	buf_free(b);
	return r;
}

int
keysource_key(const struct config_choice *c, const struct keep *passphrase,
    const struct seal_cost *cost, struct keep **out, char *why, size_t size)
{
	if (c->key != CONFIG_KEY_PASSPHRASE)
		return from_file(c, out, why, size);
	if (passphrase == NULL) {
		snprintf(why, size, "The vault waits for its passphrase.");
		return ERR_LOCKED;
	}
	return seal_key_from_passphrase(keep_reveal(passphrase), cost, out);
}
