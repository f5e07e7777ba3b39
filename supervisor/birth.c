/* SPDX-License-Identifier: ISC */
/* What for: argv and environment of each role. Trusts: our own environment
 * for two words of the vault's, after looking at them. At a bound: leaves
 * the word out. */
#include "supervisor/birth.h"

#include "lib/log.h"
#include "lib/unixsock.h"
#include "messages/control.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* argv is char * for history's sake; nobody writes to it. */
static char *
word(const char *s)
{
	return (char *)(uintptr_t)s;
}

static void
add_word(struct birth *b, const char *s)
{
	size_t n = 0;

	while (b->argv[n] != NULL)
		n++;
	if (n + 1 >= BIRTH_WORDS)
		abort();
	b->argv[n] = word(s);
}

static void
add_env(struct birth *b, const char *name, const char *value)
{
	size_t n = 0;

	while (b->envp[n] != NULL)
		n++;
	if (n + 1 >= BIRTH_ENV)
		abort();
	int len = snprintf(b->store[n], BIRTH_ENV_SIZE, "%s=%s", name, value);
	if (len > 0 && len < BIRTH_ENV_SIZE)
		b->envp[n] = b->store[n];
}

bool
birth_bus_is_plain(const char *address)
{
	static const char *const starts[] = {"unix:path=/", "unix:abstract=/"};
	static const char plain[] =
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	    "/_.-,=:%";

	if (strspn(address, plain) != strlen(address))
		return false;
	for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
		if (strncmp(address, starts[i], strlen(starts[i])) == 0)
			return true;
	}
	return false;
}

static void
add_bus(struct birth *b)
{
	const char *address = getenv("DBUS_SESSION_BUS_ADDRESS");
	char usual[64];
	struct stat st;

	if (address != NULL && birth_bus_is_plain(address)) {
		add_env(b, "DBUS_SESSION_BUS_ADDRESS", address);
		return;
	}
	snprintf(usual, sizeof(usual), "/run/user/%u/bus", (unsigned)getuid());
	if (address != NULL || lstat(usual, &st) != 0 ||
	    !S_ISSOCK(st.st_mode) || st.st_uid != getuid())
		return;
	snprintf(usual, sizeof(usual), "unix:path=/run/user/%u/bus",
	    (unsigned)getuid());
	add_env(b, "DBUS_SESSION_BUS_ADDRESS", usual);
}

/* Members of the group may call: the kernel tells the child who calls. */
static void
add_group(const struct process *p, struct birth *b)
{
	if (p->daemon->home.admin_gid == UNIXSOCK_NO_GROUP)
		return;
	(void)snprintf(b->gid, sizeof(b->gid), "%u",
	    (unsigned)p->daemon->home.admin_gid); /* fits */
	add_word(b, "--admin-gid");
	add_word(b, b->gid);
}

/* systemd keeps the directory root's, and a role has a uid of its own. */
int
birth_credential(void)
{
	const char *where = getenv("CREDENTIALS_DIRECTORY");
	struct stat st;
	int dir, fd;

	if (where == NULL || where[0] != '/' ||
	    (dir = open(where, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		return -1;
	fd = openat(dir, CREDENTIAL_NAME,
	    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	close(dir);
	if (fd < 0)
		return -1; /* it has none: the vault says so if it needs it */
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	    st.st_uid == geteuid() && (st.st_mode & 0077) == 0)
		return fd;
	log_event(LOG_ERROR, "credential_refused",
	    LOG_STR("why", "not a file of our own alone"));
	close(fd);
	return -1;
}

static void
fill_vault(const struct process *p, struct birth *b)
{
	const char *credentials = getenv("CREDENTIALS_DIRECTORY");

	add_word(b, "--config");
	add_word(b, p->daemon->home.paths.config);
	add_word(b, "--state");
	add_word(b, p->daemon->home.vault_state);
	add_group(p, b);
	if (credentials != NULL && credentials[0] == '/')
		add_env(b, "CREDENTIALS_DIRECTORY", credentials);
	add_bus(b);
}

static void
fill_minter(const struct process *p, struct birth *b)
{
	add_word(b, "--state");
	add_word(b, p->daemon->home.minter_state);
	add_word(b, "--audit");
	add_word(b, p->daemon->home.audit);
	(void)snprintf(b->port, sizeof(b->port), "%u",
	    (unsigned)p->daemon->config.vsock_port); /* fits */
	add_word(b, "--vsock-port");
	add_word(b, b->port);
	(void)snprintf(b->depth, sizeof(b->depth), "%u",
	    p->daemon->config.child_depth); /* fits */
	add_word(b, "--child-depth");
	add_word(b, b->depth);
	add_group(p, b);
}

static void
fill_session(const struct process *p, struct birth *b)
{
	if (p->session == NULL)
		return; /* it waits for one */
	add_word(b, "--session");
	add_word(b, p->session->id);
}

static void
fill_courier(const struct process *p, struct birth *b)
{
	fill_session(p, b);
	if (p->session == NULL || p->session->trail.closed == 0)
		return;
	(void)snprintf(b->closed, sizeof(b->closed), "%llu",
	    (unsigned long long)p->session->trail.closed); /* fits */
	add_word(b, "--closed");
	add_word(b, b->closed);
}

void
birth_fill(const struct process *p, struct birth *out)
{
	static void (*const fill[ROLES_MAX])(
	    const struct process *, struct birth *) = {
	    [LINK_VAULT] = fill_vault,
	    [LINK_MINTER] = fill_minter,
	    [LINK_GATE] = fill_session,
	    [LINK_COURIER] = fill_courier,
	};

	memset(out, 0, sizeof(*out));
	add_word(out, roles[p->role].program);
	add_env(out, "LANG", "C.UTF-8");
	add_env(out, "TZ", "UTC0");
	if (fill[p->role] != NULL)
		fill[p->role](p, out);
}
