/* SPDX-License-Identifier: ISC */
/* What for: the choice of vault and key. Trusts: our configuration
 * directory, once safefile has looked at it. At a bound: refuses. */
#include "cli/key_source.h"

#include "lib/safefile.h"
#include "lib/secret.h"
#include "scope/grant_json.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define WHAT "choose the vault"
#define KEY_BYTES 32
#define CONFIG_MAX 4096

static int
open_config(struct cli *cli, int *dir, struct cli_error *e)
{
	char why[512] = "";
	int r = safefile_dir(cli->paths.config, true, dir, why, sizeof(why));

	if (r == 0)
		return 0;
	return cli_error(e, CLI_FAILED, WHAT, "hatcheck doctor", "%s",
	    why[0] == '\0' ? err_text(r) : why);
}

static int
create_key(const char *dir, const char *name, struct cli_error *e)
{
	struct keep *key = NULL;
	char why[512] = "";
	int fd = -1, r = safefile_dir(dir, true, &fd, why, sizeof(why));

	if (r == 0)
		r = keep_random(KEY_BYTES, &key);
	if (r == 0)
		r = safefile_write(fd, name, keep_reveal(key));
	keep_free(key);
	if (fd >= 0)
		close(fd);
	if (r == 0)
		return 0;
	return cli_error(e, CLI_FAILED, "make the key file", "hatcheck doctor",
	    "%s/%s: %s", dir, name, why[0] == '\0' ? err_text(r) : why);
}

/* Never overwrites: a key that is there may be all that opens a store. */
static int
ensure_key(const char *path, struct cli_error *e)
{
	char dir[PATH_MAX];
	struct stat st;

	if (lstat(path, &st) == 0) {
		if (S_ISREG(st.st_mode) && (st.st_mode & 0077) == 0)
			return 0;
		return cli_error(e, CLI_FAILED, "use the key file",
		    "chmod 600, and no link",
		    "%s must be a plain file that only you can read", path);
	}
	if (errno != ENOENT || span_copy(span_str(path), dir, sizeof(dir)) != 0)
		return cli_error(e, CLI_FAILED, "use the key file", NULL,
		    "%s: %s", path, strerror(errno));
	char *slash = strrchr(dir, '/');
	*slash = '\0';
	return create_key(dir[0] == '\0' ? "/" : dir, slash + 1, e);
}

static int
key_path(struct cli *cli, const char *given, char out[static PATH_MAX],
    struct cli_error *e)
{
	char cwd[PATH_MAX];
	int r;

	if (given == NULL)
		r = paths_join(cli->paths.config, "vault.key", out);
	else if (given[0] == '/')
		r = span_copy(span_str(given), out, PATH_MAX);
	else if (getcwd(cwd, sizeof(cwd)) == NULL)
		r = ERR_IO;
	else
		r = paths_join(cwd, given, out);
	return r == 0 ? 0 : cli_error_from(e, r, "use the key file", NULL);
}

static int
sealed_file(
    struct cli *cli, const struct args *a, json_t **out, struct cli_error *e)
{
	const char *key = args_value(a, "key");
	const char *file = args_value(a, "key-file");
	char path[PATH_MAX];

	if (key == NULL)
		key = "key-file";
	if (strcmp(key, "key-file") != 0 && file != NULL)
		return cli_error(e, CLI_USAGE, WHAT, NULL,
		    "--key-file goes with --key key-file only");
	if (strcmp(key, "passphrase") == 0) {
		*out = json_pack(
		    "{s:s, s:s}", "backend", "sealed-file", "key", key);
	} else if (strcmp(key, "systemd-credential") == 0) {
		*out = json_pack("{s:s, s:s, s:s}", "backend", "sealed-file",
		    "key", key, "name", "hatcheck");
	} else if (strcmp(key, "key-file") == 0) {
		if (key_path(cli, file, path, e) != 0 ||
		    ensure_key(path, e) != 0)
			return e->code;
		*out = json_pack("{s:s, s:s, s:s}", "backend", "sealed-file",
		    "key", key, "path", path);
	} else {
		return cli_error(e, CLI_USAGE, WHAT,
		    "key-file, passphrase or systemd-credential",
		    "there is no key source \"%s\"", key);
	}
	return *out == NULL ? cli_error_from(e, ERR_NOMEM, WHAT, NULL) : 0;
}

int
key_source(struct cli *cli, const struct args *a, const char *backend,
    json_t **out, struct cli_error *e)
{
	e->code = 0;
	if (strcmp(backend, "sealed-file") == 0)
		return sealed_file(cli, a, out, e);
	if (strcmp(backend, "secret-service") != 0)
		return cli_error(e, CLI_USAGE, WHAT,
		    "sealed-file or secret-service", "there is no vault \"%s\"",
		    backend);
	if (args_has(a, "key") || args_has(a, "key-file"))
		return cli_error(e, CLI_USAGE, WHAT, NULL,
		    "a key source goes with sealed-file only");
	*out = json_pack("{s:s}", "backend", backend);
	return *out == NULL ? cli_error_from(e, ERR_NOMEM, WHAT, NULL) : 0;
}

int
key_source_load(struct cli *cli, json_t **out, struct cli_error *e)
{
	struct buf *b = buf_new(CONFIG_MAX);
	char path[PATH_MAX], why[512] = "";
	struct stat st;
	int r = b == NULL ? ERR_NOMEM
			  : paths_join(cli->paths.config, "vault.json", path);

	e->code = 0;
	*out = NULL;
	if (r == 0 && (lstat(path, &st) == 0 || errno != ENOENT)) {
		r = safefile_read(path, CONFIG_MAX, false, b, why, sizeof(why));
		if (r == 0 && (*out = json_strict(buf_span(b))) == NULL)
			r = ERR_FORMAT;
	}
	buf_free(b);
	if (r != 0)
		(void)cli_error(e, CLI_FAILED, "read vault.json",
		    "hatcheck doctor", "%s",
		    why[0] == '\0' ? err_text(r) : why);
	return e->code;
}

int
key_source_save(struct cli *cli, const json_t *source, struct cli_error *e)
{
	char *text = json_dumps(source, JSON_COMPACT);
	int dir;

	e->code = 0;
	if (text == NULL) {
		(void)cli_error_from(e, ERR_NOMEM, WHAT, NULL);
	} else if (open_config(cli, &dir, e) == 0) {
		int r = safefile_write(dir, "vault.json", span_str(text));
		if (r != 0)
			(void)cli_error_from(e, r, WHAT, "hatcheck doctor");
		close(dir);
	}
	free(text);
	return e->code;
}

void
key_source_text(const json_t *source, char *out, size_t size)
{
	const char *key = cli_string(source, "key");
	const char *path = cli_string(source, "path");

	if (key[0] == '\0')
		(void)snprintf(out, size, "%s", cli_string(source, "backend"));
	else
		(void)snprintf(out, size, "%s, %s%s%s",
		    cli_string(source, "backend"), key,
		    path[0] == '\0' ? "" : " ", path);
}
