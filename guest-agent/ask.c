/* SPDX-License-Identifier: ISC */
/*
 * The verbs that ask the host one thing and print it, and the helper that
 * git calls.
 * Trusts the host's words after checking their form.
 * One request each; input from git is bounded at 16 KiB.
 */
#include "guest-agent/verbs.h"

#include "guest-agent/api.h"
#include "guest-agent/document.h"
#include "guest-agent/files.h"
#include "guest-agent/session.h"
#include "guest-agent/text.h"
#include "guest-agent/vars.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* stdout may be a full disk. */
static int
printed(void)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return 0;
	warn("cannot write: %s", strerror(errno));
	return EXIT_FAILED;
}

int
verb_token(const struct options *o)
{
	struct api_token t;
	struct api_why why = {0};

	if (api_token(&o->channel, NULL, &t, &why) != API_OK)
		die(EXIT_FAILED, "%s", why.text);
	printf("%s\n", t.text);
	text_wipe(&t, sizeof(t));
	return printed();
}

int
verb_env(const struct options *o)
{
	struct files f;
	struct vars v;
	struct json *doc;
	bool known;
	int port;

	files_find(&f);
	port = files_port(&f);
	if (port == 0)
		die(EXIT_FAILED,
		    "no bridge runs (next: hatcheck-guest serve &, or "
		    "hatcheck-guest run -- COMMAND)");
	doc = session_document(&o->channel);
	vars_make(&v, &f, port, &o->channel, doc);
	known = vars_print(&v, o->shell ? o->shell : "sh");
	vars_free(&v);
	json_free(doc);
	if (!known)
		die(EXIT_USAGE, "--shell: sh, fish or json is wanted");
	return printed();
}

int
verb_ca(const struct options *o)
{
	struct api_why why = {0};
	char *root, *text;
	int bad = 0;

	if (api_ca(&o->channel, &root, &why) != API_OK)
		die(EXIT_FAILED, "%s", why.text);
	text = o->bundle ? files_bundle(root) : text_copy(root, strlen(root));
	if (o->out == NULL)
		fputs(text, stdout);
	else
		bad = files_replace(o->out, text);
	if (bad)
		warn("cannot write %s: %s", o->out, strerror(errno));
	free(text);
	free(root);
	return bad ? EXIT_FAILED : printed();
}

int
verb_api_key(const struct options *o)
{
	struct json *doc = session_document(&o->channel);
	const char *value = document_placeholder(doc, o->words[0]);

	if (value == NULL)
		die(EXIT_FAILED,
		    "this session was granted no credential named %s (next: "
		    "hatcheck-guest status)",
		    o->words[0]);
	printf("%s\n", value);
	json_free(doc);
	return printed();
}

/* One attribute of git's input, "key=value\n"; up to the end or an empty
 * line. out is empty when it is not there. */
static void
attribute(const char *in, const char *key, char *out, size_t size)
{
	size_t n = strlen(key);

	*out = '\0';
	while (*in != '\0' && *in != '\n') {
		size_t line = strcspn(in, "\n");

		if (line > n && strncmp(in, key, n) == 0 && in[n] == '=' &&
		    line - n - 1 < size) {
			memcpy(out, in + n + 1, line - n - 1);
			out[line - n - 1] = '\0';
		}
		in += line + (in[line] == '\n');
	}
}

/* git-credential(1): answers `get` with a placeholder for hosts of ours;
 * has nothing to store or erase. */
int
verb_git_credential(const struct options *o)
{
	char in[16384], protocol[16], host[512], user[256];
	size_t n = fread(in, 1, sizeof(in) - 1, stdin);
	const char *value;
	struct json *doc;

	in[n] = '\0';
	if (strcmp(o->words[0], "get") != 0)
		return 0;
	attribute(in, "protocol", protocol, sizeof(protocol));
	attribute(in, "host", host, sizeof(host));
	attribute(in, "username", user, sizeof(user));
	if (strcmp(protocol, "https") != 0 || *host == '\0')
		return 0;
	doc = session_document(&o->channel);
	value = document_for_host(doc, host);
	if (value != NULL)
		printf("username=%s\npassword=%s\n",
		    *user ? user : "x-access-token", value);
	json_free(doc);
	return printed();
}

static void
print_list(const struct json *doc, const char *name, const char *key)
{
	const struct json *e = json_first(json_get(doc, name));

	printf("%s:", name);
	if (e == NULL)
		printf(" none");
	for (; e != NULL; e = json_next(e)) {
		const char *s = json_text(key ? json_get(e, key) : e);

		printf(" %s", s ? s : "?");
	}
	printf("\n");
}

int
verb_status(const struct options *o)
{
	struct json *doc = session_document(&o->channel), *status = NULL;
	const char *guest = json_text(json_get(doc, "guest"));
	struct api_why why = {0};
	struct files f;
	long long left;

	if (api_document(&o->channel, "/v1/status", &status, &why) != API_OK)
		die(EXIT_FAILED, "%s", why.text);
	files_find(&f);
	printf("session: %s\n", json_text(json_get(doc, "session")));
	printf("guest: %s\n", guest ? guest : "?");
	if (json_integer(json_get(status, "expires_in"), &left))
		printf("expires in: %lld s\n", left);
	if (files_port(&f) != 0)
		printf("bridge: 127.0.0.1:%d\n", files_port(&f));
	else
		printf("bridge: none\n");
	print_list(doc, "hosts", NULL);
	print_list(doc, "tunnels", NULL);
	print_list(doc, "placeholders", "credential");
	json_free(status);
	json_free(doc);
	return printed();
}

int
verb_version(const struct options *o)
{
	(void)o;
	printf("hatcheck-guest " VERSION "\n");
	return printed();
}
