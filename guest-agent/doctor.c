/* SPDX-License-Identifier: ISC */
/*
 * `doctor`: what a session needs in this guest, looked at one by one.
 * Trusts the host's words after checking their form. Changes nothing: the
 * token that it asks for is given back.
 * What hangs on something that is missing is not tried, and says so.
 */
#include "guest-agent/verbs.h"

#include "guest-agent/api.h"
#include "guest-agent/clock.h"
#include "guest-agent/files.h"
#include "guest-agent/http.h"
#include "guest-agent/loopback.h"
#include "guest-agent/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define JOIN_MS 3000 /* for the host to take a connection */

enum health { GOOD, PROBLEM, UNTRIED };

struct finding {
	enum health health;
	char text[640];
	char next[256];
};

/* Who is looked at, and what is known so far. */
struct patient {
	const struct channel *channel;
	struct json *status; /* NULL: the host did not answer */
	struct api_token token;
	struct api_why no_token;
	char *root; /* PEM, or NULL */
	int port;   /* of the bridge that is to be used, 0 none */
};

static void __attribute__((format(printf, 4, 5)))
found(struct finding *f, enum health h, const char *next, const char *fmt, ...)
{
	va_list ap;

	f->health = h;
	snprintf(f->next, sizeof(f->next), "%s", next);
	va_start(ap, fmt);
	vsnprintf(f->text, sizeof(f->text), fmt, ap); /* cut */
	va_end(ap);
}

/* ------------------------------------------------------- the way there */

static void
check_channel(struct patient *p, struct finding *f)
{
	const char *where = p->channel->path;
	int fd = channel_open(p->channel), why = errno;
	bool joined = fd >= 0 && channel_join(fd, JOIN_MS) == 0;

	if (fd >= 0) {
		why = errno;
		close(fd);
	}
	if (joined) {
		found(f, GOOD, "", "%s", where);
		return;
	}
	if (channel_gone(p->channel))
		found(f, PROBLEM,
		    "start this guest anew with a new session: hatcheck "
		    "session create, on the host",
		    "%s: the session that it was for has ended", where);
	else if (why == EAFNOSUPPORT || why == ENODEV)
		found(f, PROBLEM,
		    "give the VM a vsock device, and its kernel the module "
		    "vmw_vsock_virtio_transport",
		    "%s: this machine has no vsock", where);
	else if (why == ENOENT)
		found(f, PROBLEM,
		    "give the guest its channel (docs/guests), or say where "
		    "it is: --channel",
		    "%s: it is not there", where);
	else if (why == EACCES || why == EPERM)
		found(f, PROBLEM,
		    "hatcheck session create --uid with the host's number of "
		    "this user",
		    "%s: this user (%u here) may not connect", where,
		    (unsigned)getuid());
	else
		found(f, PROBLEM, "hatcheck status, on the host",
		    "%s: nobody listens: %s", where, strerror(why));
}

static void
check_host(struct patient *p, struct finding *f)
{
	struct api_why why = {0};
	const char *session, *guest;
	long long left = 0;

	if (api_document(p->channel, "/v1/status", &p->status, &why) !=
	    API_OK) {
		found(f, PROBLEM,
		    "hatcheck status and hatcheck session list, on the host; "
		    "a closed connection: the session is for another uid",
		    "%s", why.text);
		return;
	}
	session = json_text(json_get(p->status, "session"));
	guest = json_text(json_get(p->status, "guest"));
	(void)json_integer(json_get(p->status, "expires_in"), &left);
	found(f, GOOD, "", "session %s of guest %s, for %lld s more",
	    session ? session : "?", guest ? guest : "?", left);
}

static void
untried(struct finding *f, const char *what)
{
	found(f, UNTRIED, "", "not tried without %s", what);
}

static void
check_token(struct patient *p, struct finding *f)
{
	if (p->status == NULL) {
		untried(f, "an answer from the host");
	} else if (api_token(p->channel, NULL, &p->token, &p->no_token) !=
		   API_OK) {
		p->token.text[0] = '\0';
		found(f, PROBLEM,
		    "hatcheck session show and hatcheck audit, on the host",
		    "%s", p->no_token.text);
	} else {
		found(f, GOOD, "", "given, for %lld s at a time",
		    p->token.lifetime);
	}
}

/* Nothing of ours hangs on this clock, but clients judge certificates by
 * it: those of the host are valid from an hour before until a day after. */
static void
check_clock(struct patient *p, struct finding *f)
{
	long long ahead;

	if (p->token.text[0] == '\0') {
		untried(f, "a token");
		return;
	}
	if (!clock_ahead(p->token.text, &ahead))
		found(f, PROBLEM, "report it", "the token tells no time");
	else if (ahead > CLOCK_MOST || ahead < -CLOCK_MOST)
		found(f, PROBLEM,
		    "set this guest's clock (a restored snapshot needs that)",
		    "%lld s %s the host's: programs here will not believe "
		    "certificates",
		    ahead < 0 ? -ahead : ahead,
		    ahead < 0 ? "behind" : "ahead of");
	else
		found(f, GOOD, "", "within %lld s of the host's",
		    (ahead < 0 ? -ahead : ahead) + 1);
}

/* -------------------------------------------------------------- trust */

static void
check_root(struct patient *p, struct finding *f)
{
	struct api_why why = {0};

	if (p->status == NULL)
		untried(f, "an answer from the host");
	else if (api_ca(p->channel, &p->root, &why) != API_OK)
		found(
		    f, PROBLEM, "hatcheck status, on the host", "%s", why.text);
	else
		found(f, GOOD, "", "given");
}

/* Of those whom programs ask for their roots: the ones that are set and do
 * not have it. */
static bool
lacking(const char *root, struct text *names, int *set)
{
	static const char *const variables[] = {"SSL_CERT_FILE",
	    "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "GIT_SSL_CAINFO",
	    "NODE_EXTRA_CA_CERTS", "PIP_CERT", "AWS_CA_BUNDLE"};

	for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++) {
		const char *file = getenv(variables[i]);

		if (file == NULL)
			continue;
		++*set;
		if (!files_hold(file, root))
			text_addf(
			    names, "%s%s", names->n ? ", " : "", variables[i]);
	}
	return names->n > 0;
}

static void
check_trust(struct patient *p, struct finding *f)
{
	struct text names = {.limit = 256};
	int set = 0;

	if (p->root == NULL)
		untried(f, "the session's root");
	else if (lacking(p->root, &names, &set))
		found(f, PROBLEM,
		    "unset them, or eval \"$(hatcheck-guest env)\"",
		    "another session's, or somebody else's, certificates are "
		    "named by %s",
		    names.p);
	else if (set > 0)
		found(f, GOOD, "", "by this environment's variables");
	else if (files_system_holds(p->root))
		found(f, GOOD, "", "by the system");
	else
		found(f, PROBLEM,
		    "eval \"$(hatcheck-guest env)\", or hatcheck-guest trust "
		    "install as root",
		    "programs here do not know the session's root");
	text_free(&names);
}

/* ------------------------------------------------------------- bridge */

/* The bridge, as a channel: "127.0.0.1:PORT". */
static int
bridge_channel(const struct channel *c)
{
	return loopback_connect(atoi(strchr(c->path, ':') + 1));
}

static bool
same_session(const struct patient *p, const struct json *there)
{
	const char *a = json_text(json_get(p->status, "session"));
	const char *b = json_text(json_get(there, "session"));

	return a != NULL && b != NULL && strcmp(a, b) == 0;
}

/* The port in http://127.0.0.1:PORT; 0 when it is another's. */
static int
proxy_port(const char *url)
{
	static const char start[] = "http://127.0.0.1:";
	const size_t n = sizeof(start) - 1;
	int port = strncmp(url, start, n) == 0 ? atoi(url + n) : 0;

	return port > 0 && port < 65536 ? port : 0;
}

static void
check_proxy(struct patient *p, struct finding *f)
{
	const char *url = getenv("https_proxy");
	struct files files;
	int served;

	files_find(&files);
	served = files_port(&files);
	if (url != NULL && (p->port = proxy_port(url)) != 0) {
		found(f, GOOD, "", "https_proxy=%s", url);
		return;
	}
	p->port = served;
	if (url != NULL)
		found(f, PROBLEM,
		    "unset the proxy variables, or eval "
		    "\"$(hatcheck-guest env)\"",
		    "https_proxy names another proxy: %.100s", url);
	else
		found(f, PROBLEM,
		    served ? "eval \"$(hatcheck-guest env)\""
			   : "hatcheck-guest run -- COMMAND, or "
			     "hatcheck-guest serve &",
		    "https_proxy is not set: programs here do not know the "
		    "bridge");
}

static void
check_bridge(struct patient *p, struct finding *f)
{
	struct channel c = {.open = bridge_channel};
	struct json *there = NULL;
	struct api_why why = {0};

	if (p->port == 0) {
		untried(f, "a port: no bridge is known");
		return;
	}
	snprintf(c.path, sizeof(c.path), "127.0.0.1:%d", p->port);
	if (api_document(&c, "/v1/status", &there, &why) != API_OK)
		found(
		    f, PROBLEM, "hatcheck-guest serve, or run", "%s", why.text);
	else if (p->status != NULL && !same_session(p, there))
		found(f, PROBLEM,
		    "end the old hatcheck-guest serve, start it anew",
		    "127.0.0.1:%d is the bridge of another session", p->port);
	else
		found(f, GOOD, "", "127.0.0.1:%d", p->port);
	json_free(there);
}

/* ---------------------------------------------------------------- all */

static const struct check {
	const char *name;
	void (*run)(struct patient *p, struct finding *f);
} checks[] = {
    {"channel", check_channel},
    {"host", check_host},
    {"token", check_token},
    {"clock", check_clock},
    {"root", check_root},
    {"trust", check_trust},
    {"proxy", check_proxy},
    {"bridge", check_bridge},
};

#define CHECKS (sizeof(checks) / sizeof(checks[0]))

static const char *const words[] = {
    [GOOD] = "ok", [PROBLEM] = "problem", [UNTRIED] = "untried"};

static void
print_text(const char *name, const struct finding *f)
{
	printf("%-8s %s: ", words[f->health], name);
	text_print(f->text);
	putchar('\n');
	if (f->next[0] != '\0')
		printf("         next: %s\n", f->next);
}

static void
print_member(const char *name, const char *value, const char *after)
{
	printf("\"%s\":", name);
	text_print_json(value);
	printf("%s", after);
}

static void
print_json(const char *name, const struct finding *f, bool last)
{
	printf("  {");
	print_member("check", name, ",");
	print_member("state", words[f->health], ",");
	print_member("found", f->text, ",");
	print_member("next", f->next, last ? "}\n" : "},\n");
}

int
verb_doctor(const struct options *o)
{
	struct patient p = {.channel = &o->channel};
	bool good = true;

	if (o->json)
		printf("[\n");
	for (size_t i = 0; i < CHECKS; i++) {
		struct finding f = {0};

		checks[i].run(&p, &f);
		good &= f.health == GOOD;
		if (o->json)
			print_json(checks[i].name, &f, i + 1 == CHECKS);
		else
			print_text(checks[i].name, &f);
	}
	if (o->json)
		printf("]\n");
	if (p.token.text[0] != '\0')
		api_revoke(p.channel, p.token.text);
	text_wipe(&p.token, sizeof(p.token));
	free(p.root);
	json_free(p.status);
	return fflush(stdout) == 0 && good ? 0 : EXIT_FAILED;
}
