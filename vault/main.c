/* SPDX-License-Identifier: ISC */
/* What for: hatcheck-vault: credentials at rest, leases, session roots.
 * Trusts: the supervisor that started it. At a bound: exits; the supervisor
 * starts it again. */
#include "lib/jail.h"
#include "lib/log.h"
#include "messages/control.h"
#include "lib/unixsock.h"
#include "vault/keysource.h"
#include "vault/service.h"

#include <getopt.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static void
usage(void)
{
	fputs("usage: hatcheck-vault --config DIR --state DIR "
	      "[--admin-gid N]\n"
	      "Started by hatcheckd; see hatcheck-vault(8).\n",
	    stderr);
	exit(2);
}

static void
parse(int argc, char **argv, const char **config, const char **state,
    gid_t *group)
{
	static const struct option options[] = {
	    {"config", required_argument, NULL, 'c'},
	    {"state", required_argument, NULL, 's'},
	    {"admin-gid", required_argument, NULL, 'g'},
	    {0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'c')
			*config = optarg;
		else if (c == 's')
			*state = optarg;
		else if (c != 'g' || unixsock_group_parse(optarg, group) != 0)
			usage();
	}
	if (*config == NULL || *state == NULL || optind != argc)
		usage();
}

/* What the walls must leave open for this choice of backend. */
struct needs {
	struct jail_path paths[4];
	size_t n;
	char key[2][PATH_MAX];
	unsigned calls;
};

static void
need_choice(struct needs *n, const struct config_choice *c, char *key)
{
	char why[256];

	if (c->backend == CONFIG_SECRET_SERVICE)
		n->calls |= JAIL_SOCKET_UNIX; /* D-Bus; a crashed bus again */
	else if (keysource_path(c, key, why, sizeof(why)) == 0 &&
		 access(key, F_OK) == 0)
		n->paths[n->n++] = (struct jail_path){key, false};
}

/* vault.json is read here only for the sake of the walls; the house reads
 * it again behind them and reports what is wrong with it. */
static void
find_needs(struct needs *n, const char *config, const char *state)
{
	struct config c;
	char why[256];

	n->paths[n->n++] = (struct jail_path){state, true};
	n->paths[n->n++] = (struct jail_path){config, true};
	n->calls = JAIL_ACCEPT | JAIL_FILES_READ | JAIL_FILES_WRITE |
		   JAIL_SYNC | JAIL_THREADS | JAIL_OPTIONS;
	if (config_load(config, &c, why, sizeof(why)) != 0)
		return;
	need_choice(n, &c.now, n->key[0]);
	if (c.has_next)
		need_choice(n, &c.next, n->key[1]);
}

static void
wall_in(const char *config, const char *state)
{
	struct needs n = {0};
	struct jail_profile p = {.role = "vault"};

	find_needs(&n, config, state);
	p.calls = n.calls;
	p.paths = n.paths;
	p.n_paths = n.n;
	jail_enter(&p);
}

static void
leave(struct ev_loop *loop)
{
	ev_break(loop, EVBREAK_ALL);
}

static bool
listening(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
}

static bool
regular(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

int
main(int argc, char **argv)
{
	struct service_fds fds = {
	    .control = CONTROL_FD, .listen = -1, .group = UNIXSOCK_NO_GROUP};
	const char *config = NULL, *state = NULL;
	struct service *service = NULL;
	struct house *house = NULL;
	struct ev_loop *loop;

	jail_begin("vault", CREDENTIAL_FD);
	keysource_born_with(regular(CREDENTIAL_FD) ? CREDENTIAL_FD : -1);
	log_open("vault");
	parse(argc, argv, &config, &state, &fds.group);
	if (sodium_init() < 0 ||
	    (loop = ev_loop_new(EVFLAG_NOENV | EVBACKEND_EPOLL)) == NULL)
		log_fatal("vault_start", "libraries do not start");
	wall_in(config, state);
	if (listening(LISTEN_FD))
		fds.listen = LISTEN_FD;
	if (house_new(config, state, &house) != 0 ||
	    service_new(loop, house, &fds, leave, &service) != 0 ||
	    service_start(service) != 0)
		log_fatal("vault_start", "out of memory");
	ev_run(loop, 0);
	service_free(service);
	house_free(house);
	ev_loop_destroy(loop);
	return 0;
}
