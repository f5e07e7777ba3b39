/* SPDX-License-Identifier: ISC */
/*
 * Files for clients, in a private directory.
 * Trusts nobody else in the guest: its user alone may write the directory.
 * A system bundle over 4 MiB is not taken; then the root stands alone.
 */
#include "guest-agent/files.h"

#include "guest-agent/jks.h"
#include "guest-agent/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUNDLE_MAX (4 * 1024 * 1024)

static void
name_all(struct files *f)
{
	snprintf(f->root, sizeof(f->root), "%s/ca.pem", f->dir);
	snprintf(f->bundle, sizeof(f->bundle), "%s/bundle.pem", f->dir);
	snprintf(f->wgetrc, sizeof(f->wgetrc), "%s/wgetrc", f->dir);
	snprintf(f->jks, sizeof(f->jks), "%s/trust.jks", f->dir);
	snprintf(f->port, sizeof(f->port), "%s/port", f->dir);
}

static void
set_dir(struct files *f, const char *a, const char *b)
{
	int n = snprintf(f->dir, sizeof(f->dir), "%s%s", a, b);

	if (n < 0 || (size_t)n >= sizeof(f->dir))
		die(EXIT_FAILED, "the directory's name is too long");
	name_all(f);
}

void
files_find(struct files *f)
{
	const char *mine = getenv("HATCHECK_GUEST_DIR");
	const char *run = getenv("XDG_RUNTIME_DIR");
	char name[64];

	f->named = false;
	if (mine != NULL && *mine == '/') {
		set_dir(f, mine, "");
		f->named = true;
	} else if (run != NULL && *run == '/') {
		set_dir(f, run, "/hatcheck-guest");
	} else {
		snprintf(name, sizeof(name), "hatcheck-guest-%u",
		    (unsigned)getuid());
		set_dir(f, "/tmp/", name);
	}
}

void
files_fresh(struct files *f, int status)
{
	const char *tmp = getenv("TMPDIR");

	if (tmp == NULL || *tmp != '/')
		tmp = "/tmp";
	set_dir(f, tmp, "/hatcheck-guest-XXXXXX");
	if (mkdtemp(f->dir) == NULL)
		die(status, "cannot make %s: %s", f->dir, strerror(errno));
	name_all(f);
}

static bool
ours_alone(const char *dir)
{
	struct stat st;

	return lstat(dir, &st) == 0 && S_ISDIR(st.st_mode) &&
	       st.st_uid == getuid() && (st.st_mode & 022) == 0;
}

void
files_claim(struct files *f)
{
	if (mkdir(f->dir, 0700) != 0 && errno != EEXIST)
		die(EXIT_FAILED, "cannot make %s: %s", f->dir, strerror(errno));
	if (!ours_alone(f->dir))
		die(EXIT_FAILED,
		    "%s is not a directory that we alone can write (next: "
		    "rmdir it, or set HATCHECK_GUEST_DIR)",
		    f->dir);
}

static int
replace(const char *path, const char *text, size_t n)
{
	char fresh[PATH_MAX + 8];
	FILE *out;
	int fd, bad;

	snprintf(fresh, sizeof(fresh), "%s.XXXXXX", path);
	fd = mkostemp(fresh, O_CLOEXEC);
	if (fd < 0)
		return -1;
	out = fdopen(fd, "w");
	if (out == NULL) {
		close(fd);
		unlink(fresh);
		return -1;
	}
	bad = fwrite(text, 1, n, out) != n;
	bad |= fchmod(fd, 0644) != 0;
	bad |= fclose(out) != 0;
	if (!bad && rename(fresh, path) == 0)
		return 0;
	bad = errno;
	unlink(fresh);
	errno = bad;
	return -1;
}

int
files_replace(const char *path, const char *text)
{
	return replace(path, text, strlen(text));
}

static bool
read_file(const char *path, struct text *out)
{
	char buf[16384];
	ssize_t n = -1;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

	if (fd < 0)
		return false;
	while (!out->bad && (n = read(fd, buf, sizeof(buf))) > 0)
		text_add(out, buf, (size_t)n);
	close(fd);
	if (n == 0 && out->n > 0 && !out->bad)
		return true;
	text_free(out);
	return false;
}

/* Empty when there is none. */
static void
system_bundle(struct text *t)
{
	static const char *const places[] = {
	    "/etc/ssl/certs/ca-certificates.crt", /* Debian, Alpine */
	    "/etc/pki/tls/certs/ca-bundle.crt",	  /* Fedora, RHEL */
	    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
	    "/etc/ssl/ca-bundle.pem", /* openSUSE */
	    "/etc/ssl/cert.pem",      /* Alpine without more */
	};
	size_t i = 0, n = sizeof(places) / sizeof(places[0]);

	while (i < n && !read_file(places[i], t))
		i++;
}

/* Base64 alone, so that line ends do not matter. */
static void
squeeze(char *s)
{
	char *to = s;

	for (; *s != '\0'; s++)
		if (*s > ' ')
			*to++ = *s;
	*to = '\0';
}

static bool
holds(struct text *t, const char *root)
{
	char *one = text_copy(root, strlen(root));
	bool found;

	squeeze(one);
	if (t->n > 0)
		squeeze(t->p);
	found = *one != '\0' && t->n > 0 && strstr(t->p, one) != NULL;
	free(one);
	text_free(t);
	return found;
}

bool
files_hold(const char *path, const char *root)
{
	struct text t = {.limit = 2 * BUNDLE_MAX};

	return read_file(path, &t) && holds(&t, root);
}

bool
files_system_holds(const char *root)
{
	struct text t = {.limit = 2 * BUNDLE_MAX};

	system_bundle(&t);
	return holds(&t, root);
}

char *
files_bundle(const char *root)
{
	struct text t = {.limit = BUNDLE_MAX};

	system_bundle(&t);
	t.limit = 2 * BUNDLE_MAX;
	t.bad = false;
	if (t.n > 0 && t.p[t.n - 1] != '\n')
		text_addf(&t, "\n");
	text_addf(&t, "%s", root);
	return t.p;
}

static void
write_all(const char *path, const char *text, size_t n)
{
	if (replace(path, text, n) != 0)
		die(EXIT_FAILED, "cannot write %s: %s", path, strerror(errno));
}

static void
write_one(const char *path, const char *text)
{
	write_all(path, text, strlen(text));
}

void
files_write(const struct files *f, const char *root, int port)
{
	struct text jks = {.limit = 2 * BUNDLE_MAX};
	char *bundle = files_bundle(root);
	char text[PATH_MAX + 64];

	write_one(f->root, root);
	write_one(f->bundle, bundle);
	jks_make(bundle, &jks);
	write_all(f->jks, jks.p, jks.n);
	text_free(&jks);
	free(bundle);
	snprintf(text, sizeof(text), "ca_certificate = %s\n", f->bundle);
	write_one(f->wgetrc, text);
	snprintf(text, sizeof(text), "%d\n", port);
	write_one(f->port, text);
}

int
files_port(const struct files *f)
{
	struct text t = {.limit = 16};
	int port = 0;

	if ((f->named || ours_alone(f->dir)) && read_file(f->port, &t))
		port = atoi(t.p);
	text_free(&t);
	return port > 0 && port < 65536 ? port : 0;
}

void
files_remove(const struct files *f)
{
	unlink(f->root);
	unlink(f->bundle);
	unlink(f->wgetrc);
	unlink(f->jks);
	unlink(f->port);
	rmdir(f->dir);
}
