/* SPDX-License-Identifier: ISC */
/* What for: hatcheckd: opens, starts, wires, restarts; parses nothing but
 * its own small configuration. Trusts: its caller's --home. At a bound:
 * does not start, and says why. */
#include "lib/jail.h"
#include "lib/log.h"
#include "supervisor/daemon.h"
#include "supervisor/notify.h"

#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATIENCE 2.0 /* seconds between `stop` and SIGKILL */
#define USAGE "usage: hatcheckd [--home DIR] [--foreground] [--version]\n"

static _Noreturn void
refuse(const char *why)
{
	fprintf(stderr, "hatcheckd: %s\n", why);
	log_fatal("not_started", why);
}

static const char *
parse_options(int argc, char **argv)
{
	static const struct option options[] = {
	    {"home", required_argument, NULL, 'H'},
	    {"foreground", no_argument, NULL, 'f'}, /* it always is */
	    {"version", no_argument, NULL, 'V'},
	    {"help", no_argument, NULL, 'h'}, {0}};
	const char *home = NULL;

	for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		if (c == 'H') {
			home = optarg;
		} else if (c == 'V') {
			printf("hatcheckd %s (%s)\n", VERSION, link_build_id());
			exit(0);
		} else if (c != 'f') {
			fputs(USAGE, c == 'h' ? stdout : stderr);
			exit(c == 'h' ? 0 : 2);
		}
	}
	if (optind != argc) {
		fputs(USAGE, stderr);
		exit(2);
	}
	return home;
}

/* Descriptors that we did not open: away with them. */
static void
close_inherited(void)
{
	for (int fd = 0; fd <= 2; fd++) {
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
			exit(1);
	}
	if (close_range(3, ~0U, 0) != 0)
		refuse("close_range failed");
}

/* As root: what starting children as others, giving them their files and
 * ending them takes. */
static void
keep_capabilities(const struct role_ids *ids)
{
	static const cap_value_t want[] = {CAP_SETUID, CAP_SETGID, CAP_CHOWN,
	    CAP_KILL, CAP_DAC_OVERRIDE, CAP_FOWNER};
	const int n = sizeof(want) / sizeof(want[0]);
	cap_t c = cap_init();

	if (!ids->apart) {
		cap_free(c);
		return;
	}
	for (int v = 0, has; (has = prctl(PR_CAPBSET_READ, v, 0, 0, 0)) >= 0;
	     v++) {
		bool wanted = false;
		for (int i = 0; i < n; i++)
			wanted = wanted || want[i] == v;
		if (has == 1 && !wanted &&
		    prctl(PR_CAPBSET_DROP, v, 0, 0, 0) != 0)
			refuse("capabilities could not be bounded");
	}
	if (c == NULL ||
	    cap_set_flag(c, CAP_PERMITTED, n, want, CAP_SET) != 0 ||
	    cap_set_flag(c, CAP_EFFECTIVE, n, want, CAP_SET) != 0 ||
	    cap_set_proc(c) != 0)
		refuse("capabilities could not be dropped");
	cap_free(c);
}

static void
raise_files(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) != 0)
		return;
	r.rlim_cur = r.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &r); /* fewer sessions then */
}

static void
on_patience(struct ev_loop *loop, struct ev_timer *w, int events)
{
	struct daemon *d = w->data;

	(void)loop;
	(void)events;
	process_kill(&d->vault);
	process_kill(&d->minter);
	process_kill(&d->dialer);
	for (struct session *s = d->sessions; s != NULL; s = s->next) {
		process_kill(s->gate);
		process_kill(s->courier);
	}
	spare_each(d, process_kill);
}

void
daemon_stop(struct daemon *d)
{
	if (d->stopping)
		return;
	d->stopping = true;
	notify_systemd("STOPPING=1");
	log_event(LOG_INFO, "stopping", LOG_INT("pid", getpid()));
	for (struct session *s = d->sessions; s != NULL; s = s->next) {
		process_ask_stop(s->gate);
		process_ask_stop(s->courier);
	}
	spare_each(d, process_ask_stop);
	process_ask_stop(&d->minter);
	process_ask_stop(&d->dialer);
	process_ask_stop(&d->vault);
	ev_timer_start(d->loop, &d->patience);
	daemon_child_gone(d); /* none may be alive */
}

void
daemon_child_gone(struct daemon *d)
{
	if (!d->stopping || process_lives(&d->vault) ||
	    process_lives(&d->minter) || process_lives(&d->dialer) ||
	    spare_lives(d))
		return;
	for (struct session *s = d->sessions; s != NULL; s = s->next) {
		if (process_lives(s->gate) || process_lives(s->courier))
			return;
	}
	ev_break(d->loop, EVBREAK_ALL);
}

void
daemon_child_ready(struct daemon *d)
{
	if (d->told_ready || d->vault.state != PROCESS_READY ||
	    d->minter.state != PROCESS_READY ||
	    d->dialer.state != PROCESS_READY)
		return;
	d->told_ready = true;
	notify_systemd("READY=1");
	log_event(LOG_INFO, "serving", LOG_INT("pid", getpid()),
	    LOG_STR("home", d->home.paths.run));
	spare_soon(d);
}

void
daemon_reload(struct daemon *d)
{
	struct config c;
	char why[512] = "";
	int r = config_load(d->home.config_file, &c, why, sizeof(why));

	if (r == 0 && strcmp(c.admin_group, d->config.admin_group) != 0) {
		snprintf(why, sizeof(why),
		    "admin_group changes at a start only; next: hatcheck "
		    "stop, then start");
		r = ERR_DENIED;
	}
	if (r == 0 && c.vsock_port != d->config.vsock_port) {
		snprintf(why, sizeof(why),
		    "vsock: port changes at a start only; next: hatcheck "
		    "stop, then start");
		r = ERR_DENIED;
	}
	if (r != 0) {
		log_event(LOG_ERROR, "configuration_refused",
		    LOG_STR("file", d->home.config_file), LOG_STR("why", why));
		return;
	}
	d->config = c;
	process_configure(&d->minter);
	process_configure(&d->dialer);
	for (struct session *s = d->sessions; s != NULL; s = s->next) {
		process_configure(s->gate);
		process_configure(s->courier);
	}
	spare_each(d, spare_retire);
	log_event(LOG_INFO, "configuration_read",
	    LOG_STR("file", d->home.config_file));
}

static void
on_end(struct ev_loop *loop, struct ev_signal *w, int events)
{
	(void)loop;
	(void)events;
	daemon_stop(w->data);
}

static void
on_hangup(struct ev_loop *loop, struct ev_signal *w, int events)
{
	(void)loop;
	(void)events;
	daemon_reload(w->data);
}

static void
watch(struct daemon *d)
{
	ev_signal_init(&d->term, on_end, SIGTERM);
	ev_signal_init(&d->interrupt, on_end, SIGINT);
	ev_signal_init(&d->hangup, on_hangup, SIGHUP);
	ev_timer_init(&d->patience, on_patience, PATIENCE, 0.);
	d->term.data = d->interrupt.data = d->hangup.data = d;
	d->patience.data = d;
	ev_signal_start(d->loop, &d->term);
	ev_signal_start(d->loop, &d->interrupt);
	ev_signal_start(d->loop, &d->hangup);
}

static void
open_all(struct daemon *d, const char *home)
{
	char why[1024] = "";

	if (jail_sanitized() && home == NULL)
		refuse("this build has looser walls, for tests; next: give it "
		       "a --home of its own, or build without SAN=1");
	if (role_ids_find(&d->ids, why, sizeof(why)) != 0 ||
	    helpers_open(&d->helpers, why, sizeof(why)) != 0 ||
	    home_open(home, &d->ids, &d->home, why, sizeof(why)) != 0)
		refuse(why);
	if (config_load(d->home.config_file, &d->config, why, sizeof(why)) !=
		0 ||
	    home_admin_group(
		&d->home, d->config.admin_group, why, sizeof(why)) != 0) {
		home_close(&d->home);
		refuse(why);
	}
	keep_capabilities(&d->ids);
}

static void
start_singles(struct daemon *d)
{
	process_init(&d->vault, d, NULL, LINK_VAULT);
	process_init(&d->minter, d, NULL, LINK_MINTER);
	process_init(&d->dialer, d, NULL, LINK_DIALER);
	process_start(&d->vault);
	process_start(&d->minter);
	process_start(&d->dialer);
}

int
main(int argc, char **argv)
{
	struct daemon d = {0};
	const char *home = parse_options(argc, argv);

	close_inherited();
	umask(077);
	jail_parent("hatcheckd");
	if (sodium_init() < 0)
		refuse("no randomness");
	raise_files();
	open_all(&d, home);
	/* A fixed choice: LIBEV_FLAGS of the environment has no say. */
	d.loop = ev_default_loop(EVFLAG_NOENV | EVBACKEND_EPOLL);
	if (d.loop == NULL)
		refuse("the event loop does not start");
	watch(&d);
	door_init(&d);
	spare_init(&d);
	start_singles(&d);
	ev_run(d.loop, 0);
	home_close(&d.home);
	log_event(LOG_INFO, "stopped", LOG_INT("pid", getpid()));
	return 0;
}
