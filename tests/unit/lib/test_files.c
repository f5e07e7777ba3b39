/* SPDX-License-Identifier: ISC */
/* Holds E.31 (paths, files), F.33 (unix peers): lib/paths, safefile and
 * unixsock. */
#include "lib/paths.h"
#include "lib/safefile.h"
#include "lib/unixsock.h"

#include <fcntl.h>
#include <grp.h>
#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char top[64];
static char why[512];

static char *
at(const char *name)
{
	static char path[8][256];
	static unsigned i;
	char *p = path[i++ % 8];

	snprintf(p, sizeof(path[0]), "%s/%s", top, name);
	return p;
}

static int
dir(const char *path, bool make)
{
	int fd = -1, r = safefile_dir(path, make, &fd, why, sizeof(why));

	if (r == 0) {
		struct stat st;
		assert_int_equal(fstat(fd, &st), 0);
		assert_true(S_ISDIR(st.st_mode));
		close(fd);
	}
	return r;
}

static void
directories(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(dir("/", false), 0);
	assert_int_equal(dir(at("a/b/c"), true), 0);
	assert_int_equal(stat(at("a/b/c"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(dir(at("a/b/none"), false), ERR_NOT_FOUND);
	assert_int_equal(dir(at("a/../a"), false), ERR_ARGUMENT);
	assert_int_equal(dir("relative", true), ERR_ARGUMENT);
	chmod(at("a"), 0770);
	assert_int_equal(dir(at("a/b"), false), ERR_DENIED);
	assert_non_null(strstr(why, "writable by others"));
	assert_non_null(strstr(why, "/a "));
	chmod(at("a"), 01777);
	assert_int_equal(dir(at("a/b"), false), 0);
	chmod(at("a"), 0700);
}

static void
links(void **state)
{
	(void)state;
	assert_int_equal(dir(at("real/x"), true), 0);
	assert_int_equal(symlink("real", at("link")), 0);
	assert_int_equal(symlink("loop", at("loop")), 0);
	assert_int_equal(dir(at("link/x"), false), 0);
	assert_int_equal(dir(at("loop"), false), ERR_DENIED);
	assert_int_equal(dir(at("open"), true), 0);
	assert_int_equal(symlink("../real", at("open/link")), 0);
	/* a target with .. is refused: it leaves the checked parents */
	assert_int_equal(dir(at("open/link"), false), ERR_ARGUMENT);
	unlink(at("open/link"));
	assert_int_equal(symlink(at("real"), at("open/link")), 0);
	assert_int_equal(dir(at("open/link/x"), false), 0);
	chmod(at("open"), 01777); /* sticky, like /tmp: still not a link */
	assert_int_equal(dir(at("open/link/x"), false), ERR_DENIED);
	assert_non_null(strstr(why, "symbolic link"));
}

static void
other_owners(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(dir(at("theirs"), true), 0);
	assert_int_equal(chown(at("theirs"), 12345, 12345), 0);
	assert_int_equal(dir(at("theirs"), false), ERR_DENIED);
	assert_non_null(strstr(why, "another user"));
}

static void
put(const char *path, const char *text, mode_t mode)
{
	FILE *f = fopen(path, "w");

	fputs(text, f);
	fclose(f);
	chmod(path, mode);
}

static int
get(const char *path, size_t max, bool secret, const char *want)
{
	struct buf *b = buf_new(64);
	int r = safefile_read(path, max, secret, b, why, sizeof(why));

	if (r == 0)
		assert_true(span_is(buf_span(b), want));
	buf_free(b);
	return r;
}

static void
files(void **state)
{
	(void)state;
	put(at("f"), "hello", 0600);
	assert_int_equal(get(at("f"), 5, true, "hello"), 0);
	assert_int_equal(get(at("f"), 4, true, ""), ERR_TOO_BIG);
	assert_int_equal(get(at("none"), 9, true, ""), ERR_NOT_FOUND);
	chmod(at("f"), 0644);
	assert_int_equal(get(at("f"), 9, false, "hello"), 0);
	assert_int_equal(get(at("f"), 9, true, ""), ERR_DENIED);
	chmod(at("f"), 0620);
	assert_int_equal(get(at("f"), 9, false, ""), ERR_DENIED);
	assert_int_equal(symlink("f", at("l")), 0);
	chmod(at("f"), 0600);
	assert_int_equal(get(at("l"), 9, false, ""), ERR_DENIED);
	assert_int_equal(mkfifo(at("fifo"), 0600), 0);
	assert_int_equal(get(at("fifo"), 9, false, ""), ERR_DENIED);
	char big[80];
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	put(at("big"), big, 0600); /* fits max, not the caller's buffer */
	assert_int_equal(get(at("big"), 100, false, ""), ERR_TOO_BIG);
}

static void
writing(void **state)
{
	struct stat st;
	int fd = -1;

	(void)state;
	assert_int_equal(safefile_dir(at("w"), true, &fd, why, sizeof(why)), 0);
	assert_int_equal(safefile_write(fd, "f", span_str("one")), 0);
	assert_int_equal(safefile_write(fd, "f", span_str("two")), 0);
	assert_int_equal(get(at("w/f"), 9, true, "two"), 0);
	assert_int_equal(stat(at("w/f"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(
	    safefile_write(fd, "../f", span_str("x")), ERR_ARGUMENT);
	close(fd);
}

static void
sockets(void **state)
{
	int d = -1, l = -1, c = -1, again = -1;
	char deep[200] = "";
	struct stat st;
	uid_t uid = 77;
	pid_t pid = 0;

	(void)state;
	for (int i = 0; i < 18; i++)
		strcat(deep, "deeper/aa/");
	char path[512], file[600];
	snprintf(path, sizeof(path), "%s/%s", top, deep);
	assert_int_equal(safefile_dir(path, true, &d, why, sizeof(why)), 0);
	snprintf(file, sizeof(file), "%s/x.sock", path);
	assert_int_equal(unixsock_connect(file, &c), ERR_NOT_FOUND);
	assert_int_equal(unixsock_listen(d, "x.sock", 0600, &l), 0);
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(
	    unixsock_listen(d, "x.sock", 0600, &again), ERR_EXISTS);
	assert_int_equal(unixsock_connect(file, &c), 0);
	assert_int_equal(unixsock_peer(c, &uid, &pid), 0);
	assert_int_equal(uid, geteuid());
	assert_int_equal(pid, getpid());
	close(c);
	/* Nobody accepts: it does not wait for ever. */
	int r = 0, came[400], n = 0;
	while (n < 400 && (r = unixsock_connect(file, &came[n])) == 0)
		n++;
	assert_int_equal(r, ERR_UNAVAILABLE);
	while (n > 0)
		close(came[--n]);
	close(l);
	assert_int_equal(unixsock_connect(file, &c), ERR_UNAVAILABLE);
	assert_int_equal(unixsock_listen(d, "x.sock", 0660, &l), 0);
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0660);
	close(l);
	int f = openat(d, "plain", O_CREAT | O_WRONLY, 0600);
	close(f);
	assert_int_equal(unixsock_listen(d, "plain", 0600, &l), ERR_EXISTS);
	assert_int_equal(unixsock_listen(d, "a/b", 0600, &l), ERR_ARGUMENT);
	close(d);
	int v = socket(AF_VSOCK, SOCK_STREAM, 0);
	if (v >= 0)
		assert_int_equal(unixsock_peer(v, &uid, &pid), ERR_DENIED);
	close(v);
}

static void
administrators(void **state)
{
	static const char *const bad[] = {
	    "", "0", "-1", "+5", "05", "5 ", "x", "4294967295", "4294967296"};
	gid_t g = 77;
	int pair[2], status;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_not_equal(unixsock_group_parse(bad[i], &g), 0);
	assert_int_equal(g, 77);
	assert_int_equal(unixsock_group_parse("4294967294", &g), 0);
	assert_int_equal(g, 4294967294U);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_true(unixsock_peer_admin(pair[0], UNIXSOCK_NO_GROUP));
	close(pair[0]);
	close(pair[1]);
	assert_false(unixsock_peer_admin(0, UNIXSOCK_NO_GROUP)); /* none */
	if (geteuid() != 0)
		return;
	pid_t pid = fork(); /* a peer of another uid, with one group more */
	if (pid == 0) {
		gid_t more = 4321;
		if (setgroups(1, &more) != 0 || setegid(1234) != 0 ||
		    seteuid(1234) != 0 ||
		    socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0 ||
		    seteuid(0) != 0 || setegid(0) != 0 || seteuid(999) != 0)
			_exit(1);
		_exit(!unixsock_peer_admin(pair[0], UNIXSOCK_NO_GROUP) &&
			      !unixsock_peer_admin(pair[0], 4322) &&
			      unixsock_peer_admin(pair[0], 4321) &&
			      unixsock_peer_admin(pair[0], 1234)
			  ? 0
			  : 2);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void
paths(void **state)
{
	char want[128], was[512];
	struct paths p;

	(void)state;
	snprintf(want, sizeof(want), "%s/h/state", top);
	assert_int_equal(paths_find(at("h"), &p), 0);
	assert_string_equal(p.state, want);
	assert_int_equal(paths_find(at("h//"), &p), 0);
	assert_string_equal(p.state, want);
	assert_non_null(getcwd(was, sizeof(was)));
	assert_int_equal(chdir(top), 0);
	assert_int_equal(paths_find("h", &p), 0);
	assert_string_equal(p.state, want);
	assert_int_equal(mkdir("h", 0700), 0);
	assert_int_equal(paths_find("./h/../h", &p), 0);
	assert_string_equal(p.state, want);
	assert_int_equal(chdir(was), 0);
	/* Our own link is followed; one that another planted is not. */
	assert_int_equal(symlink("h", at("planted")), 0);
	assert_int_equal(paths_find(at("planted"), &p), 0);
	assert_string_equal(p.state, want);
	if (geteuid() == 0) {
		assert_int_equal(lchown(at("planted"), 33333, 33333), 0);
		assert_int_equal(paths_find(at("planted"), &p), ERR_DENIED);
		assert_int_equal(paths_find(at("planted/x"), &p), ERR_DENIED);
		assert_int_equal(paths_find(at("planted/"), &p), ERR_DENIED);
	}
	assert_int_equal(paths_find(at("none/h"), &p), ERR_NOT_FOUND);
	assert_int_equal(paths_find("", &p), ERR_ARGUMENT);
	/* The environment has no say. */
	setenv("HOME", "/evil", 1);
	setenv("XDG_CONFIG_HOME", "/evil", 1);
	setenv("XDG_RUNTIME_DIR", "/evil", 1);
	assert_int_equal(paths_find(NULL, &p), 0);
	assert_null(strstr(p.config, "evil"));
	assert_null(strstr(p.run, "evil"));
	char long_[PATH_MAX + 10];
	memset(long_, 'a', sizeof(long_) - 1);
	long_[sizeof(long_) - 1] = '\0';
	assert_int_equal(paths_join("/x", long_, p.run), ERR_TOO_BIG);
}

static int
setup(void **state)
{
	(void)state;
	strcpy(top, "/tmp/files.XXXXXX");
	return mkdtemp(top) == NULL;
}

static int
teardown(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", top);
	return system(command) != 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(directories),
	    cmocka_unit_test(links),
	    cmocka_unit_test(other_owners),
	    cmocka_unit_test(files),
	    cmocka_unit_test(writing),
	    cmocka_unit_test(sockets),
	    cmocka_unit_test(administrators),
	    cmocka_unit_test(paths),
	};

	return sodium_init() < 0 ||
	       cmocka_run_group_tests(tests, setup, teardown);
}
