/* SPDX-License-Identifier: ISC */
/*
 * Which variable makes which client use the bridge and trust the session.
 * Trusts the document after document_check().
 * Its size is bounded with the document; without memory the program ends.
 */
#include "guest-agent/vars.h"

#include "guest-agent/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum value {
	PROXY,	/* http://127.0.0.1:PORT */
	PORT,	/* PORT */
	ROOT,	/* ca.pem: for a client that adds it to its own roots */
	BUNDLE, /* bundle.pem: for a client that then trusts only this */
	WGETRC,
	DIR,
	JAVA,  /* appended to what is there */
	FIXED, /* text */
};

struct row {
	const char *name;
	enum value value;
	const char *text;
};

static const struct row table[] = {
    /* curl, git, wget, Python, Go, Rust, Ruby, Perl, …: lower case. Only
     * some read upper case, and curl reads no upper HTTP_PROXY. */
    {"http_proxy", PROXY, NULL},
    {"https_proxy", PROXY, NULL},
    {"all_proxy", PROXY, NULL},
    {"HTTP_PROXY", PROXY, NULL},
    {"HTTPS_PROXY", PROXY, NULL},
    {"ALL_PROXY", PROXY, NULL},
    /* Base URLs and the guest's own servers; nothing else. Every further
     * name would be a host that this guest cannot reach anyway. */
    {"no_proxy", FIXED, "localhost,127.0.0.1"},
    {"NO_PROXY", FIXED, "localhost,127.0.0.1"},

    /* OpenSSL's default, so Python ssl, Ruby, PHP, Perl; Go; Rust's
     * native-certs; uv. SSL_CERT_DIR stays as it is: unset, it keeps the
     * system's directory, which does no harm. */
    {"SSL_CERT_FILE", BUNDLE, NULL},
    {"CURL_CA_BUNDLE", BUNDLE, NULL},		    /* curl, Python requests */
    {"REQUESTS_CA_BUNDLE", BUNDLE, NULL},	    /* Python requests */
    {"HTTPLIB2_CA_CERTS", BUNDLE, NULL},	    /* Python httplib2 */
    {"PIP_CERT", BUNDLE, NULL},			    /* pip */
    {"CONDA_SSL_VERIFY", BUNDLE, NULL},		    /* conda */
    {"GIT_SSL_CAINFO", BUNDLE, NULL},		    /* git */
    {"WGETRC", WGETRC, NULL},			    /* wget (GnuTLS) */
    {"NODE_EXTRA_CA_CERTS", ROOT, NULL},	    /* Node: adds */
    {"NODE_USE_ENV_PROXY", FIXED, "1"},		    /* Node 24: fetch, https */
    {"GLOBAL_AGENT_HTTP_PROXY", PROXY, NULL},	    /* Node: global-agent */
    {"npm_config_cafile", BUNDLE, NULL},	    /* npm, pnpm, Yarn 1 */
    {"YARN_HTTPS_CA_FILE_PATH", BUNDLE, NULL},	    /* Yarn 2 and later … */
    {"YARN_HTTP_PROXY", PROXY, NULL},		    /* … which asks no */
    {"YARN_HTTPS_PROXY", PROXY, NULL},		    /* http_proxy */
    {"DENO_CERT", ROOT, NULL},			    /* Deno: adds */
    {"DENO_TLS_CA_STORE", FIXED, "mozilla,system"}, /* … to these */
    {"CARGO_HTTP_CAINFO", BUNDLE, NULL},	    /* cargo */
    {"AWS_CA_BUNDLE", BUNDLE, NULL},		    /* AWS CLI and SDKs */
    {"CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE", BUNDLE, NULL}, /* gcloud … */
    {"CLOUDSDK_PROXY_TYPE", FIXED, "http"},
    {"CLOUDSDK_PROXY_ADDRESS", FIXED, "127.0.0.1"},
    {"CLOUDSDK_PROXY_PORT", PORT, NULL},
    {"GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", BUNDLE, NULL}, /* gRPC core … */
    {"grpc_proxy", PROXY, NULL},
    {"BUNDLE_SSL_CA_CERT", BUNDLE, NULL},      /* Ruby Bundler */
    {"HEX_CACERTS_PATH", BUNDLE, NULL},	       /* Elixir Hex */
    {"COMPOSER_CAFILE", BUNDLE, NULL},	       /* PHP Composer */
    {"PERL_LWP_SSL_CA_FILE", BUNDLE, NULL},    /* Perl LWP */
    {"JULIA_SSL_CA_ROOTS_FILE", BUNDLE, NULL}, /* Julia */
    {"NIX_SSL_CERT_FILE", BUNDLE, NULL},       /* Nix */
    /* Java reads no http_proxy, and no PEM. */
    {"JAVA_TOOL_OPTIONS", JAVA, NULL},

    /* This program, called by the command. */
    {"HATCHECK_GUEST_DIR", DIR, NULL},
};

static char *
printed(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static char *
printed(const char *fmt, ...)
{
	va_list ap;
	char *s;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&s, fmt, ap);
	va_end(ap);
	if (n < 0)
		die(EXIT_FAILED, "out of memory");
	return s;
}

/* Takes value; name is borrowed. */
static void
put(struct vars *v, const char *name, char *value)
{
	struct var *list = realloc(v->list, (v->n + 1) * sizeof(*list));

	if (list == NULL)
		die(EXIT_FAILED, "out of memory");
	v->list = list;
	v->list[v->n++] = (struct var){name, value};
}

/* The last of two options of one name counts: ours. */
static char *
java_options(const struct files *f, int port)
{
	const char *old = getenv("JAVA_TOOL_OPTIONS");

	if (old != NULL && strstr(old, "-Dhttps.proxyHost=") != NULL)
		old = NULL; /* ours, from an outer run */
	return printed("%s%s-Dhttp.proxyHost=127.0.0.1 -Dhttp.proxyPort=%d "
		       "-Dhttps.proxyHost=127.0.0.1 -Dhttps.proxyPort=%d "
		       "-Djavax.net.ssl.trustStore=%s "
		       "-Djavax.net.ssl.trustStoreType=JKS",
	    old ? old : "", old ? " " : "", port, port, f->jks);
}

static char *
value_of(const struct row *r, const struct files *f, int port)
{
	switch (r->value) {
	case PROXY:
		return printed("http://127.0.0.1:%d", port);
	case PORT:
		return printed("%d", port);
	case ROOT:
		return printed("%s", f->root);
	case BUNDLE:
		return printed("%s", f->bundle);
	case WGETRC:
		return printed("%s", f->wgetrc);
	case DIR:
		return printed("%s", f->dir);
	case JAVA:
		return java_options(f, port);
	case FIXED:
		break;
	}
	return printed("%s", r->text);
}

/* git asks this program when a server wants a login. Configuration by
 * variables is appended to what is there. */
static void
put_git(struct vars *v)
{
	static const char *const names[][2] = {
	    {"GIT_CONFIG_KEY_0", "GIT_CONFIG_VALUE_0"},
	    {"GIT_CONFIG_KEY_1", "GIT_CONFIG_VALUE_1"},
	    {"GIT_CONFIG_KEY_2", "GIT_CONFIG_VALUE_2"},
	};
	const char *count = getenv("GIT_CONFIG_COUNT");
	int n = count == NULL ? 0 : atoi(count);
	char self[4096];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);

	/* A nested run is there already; strange settings stay alone. */
	if (getenv("HATCHECK_GUEST_DIR") != NULL || n < 0 || n > 2 || len <= 0)
		return;
	self[len] = '\0';
	if (strpbrk(self, "'\\") != NULL)
		return;
	put(v, "GIT_CONFIG_COUNT", printed("%d", n + 1));
	put(v, names[n][0], printed("credential.helper"));
	put(v, names[n][1], printed("!'%s' git-credential", self));
}

static void
put_items(struct vars *v, const struct json *items, const char *key,
    const char *before)
{
	for (; items != NULL; items = json_next(items)) {
		const struct json *e = json_first(json_get(items, "env"));
		const char *value = json_text(json_get(items, key));

		for (; e != NULL; e = json_next(e))
			put(v, json_text(e), printed("%s%s", before, value));
	}
}

void
vars_make(struct vars *v, const struct files *f, int port,
    const struct channel *c, const struct json *doc)
{
	char base[64];

	*v = (struct vars){0};
	snprintf(base, sizeof(base), "http://127.0.0.1:%d", port);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		put(v, table[i].name, value_of(&table[i], f, port));
	put(v, CHANNEL_VARIABLE, printed("%s", c->path));
	put_git(v);
	put_items(v, json_first(json_get(doc, "placeholders")), "value", "");
	put_items(v, json_first(json_get(doc, "bases")), "path", base);
}

void
vars_apply(const struct vars *v)
{
	for (size_t i = 0; i < v->n; i++)
		if (setenv(v->list[i].name, v->list[i].value, 1) != 0)
			die(EXIT_FAILED, "out of memory");
}

/* In single quotes, for sh and fish. */
static void
print_quoted(const char *s, bool fish)
{
	putchar('\'');
	for (; *s != '\0'; s++) {
		if (fish && (*s == '\'' || *s == '\\'))
			printf("\\%c", *s);
		else if (*s == '\'')
			printf("'\\''");
		else
			putchar(*s);
	}
	putchar('\'');
}

static void
print_one(const struct var *v, const char *shell, bool last)
{
	if (strcmp(shell, "json") == 0) {
		printf("  \"%s\": ", v->name);
		text_print_json(v->value);
		printf("%s\n", last ? "" : ",");
		return;
	}
	printf(
	    strcmp(shell, "fish") == 0 ? "set -gx %s " : "export %s=", v->name);
	print_quoted(v->value, strcmp(shell, "fish") == 0);
	printf(strcmp(shell, "fish") == 0 ? "\n" : ";\n");
}

bool
vars_print(const struct vars *v, const char *shell)
{
	bool json = strcmp(shell, "json") == 0;

	if (!json && strcmp(shell, "sh") != 0 && strcmp(shell, "fish") != 0)
		return false;
	if (json)
		printf("{\n");
	for (size_t i = 0; i < v->n; i++)
		print_one(&v->list[i], shell, i + 1 == v->n);
	if (json)
		printf("}\n");
	return true;
}

void
vars_free(struct vars *v)
{
	for (size_t i = 0; i < v->n; i++)
		free(v->list[i].value);
	free(v->list);
	*v = (struct vars){0};
}
