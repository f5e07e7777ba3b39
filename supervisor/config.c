/* SPDX-License-Identifier: ISC */
/* What for: config/hatcheckd.yaml. Trusts: libcyaml, which reads only the
 * first document and stops at a NUL: both are refused before. At a bound:
 * refuses the whole file and says which line. */
#include "supervisor/config.h"

#include "lib/safefile.h"
#include "messages/channel.h"

#include <cyaml/cyaml.h>
#include <inttypes.h>
#include <stdio.h>

#define FILE_MAX (64 * 1024)
#define SECONDS_MAX 86400
#define NO_PROXY_PATTERNS_MAX 256

struct restart {
	unsigned crashes, seconds;
};
/* NULL: left out. */
struct limits {
#define X(name, ...) uint64_t *name;
	BOUNDS(X)
#undef X
};
struct outward {
	char *url;
	char **no_proxy;
	unsigned no_proxy_count;
};
struct vsock {
	uint32_t port;
};
struct document {
	char *admin_group;
	struct restart *restart;
	struct limits *limits;
	struct outward *proxy;
	struct vsock *vsock;
	unsigned *child_depth;
};

static const cyaml_schema_field_t restart_fields[] = {
    CYAML_FIELD_UINT("crashes", CYAML_FLAG_DEFAULT, struct restart, crashes),
    CYAML_FIELD_UINT("seconds", CYAML_FLAG_DEFAULT, struct restart, seconds),
    CYAML_FIELD_END};

static const cyaml_schema_field_t vsock_fields[] = {
    CYAML_FIELD_UINT("port", CYAML_FLAG_DEFAULT, struct vsock, port),
    CYAML_FIELD_END};

#define MAY_BE_LEFT_OUT CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL
static const cyaml_schema_field_t limits_fields[] = {
#define X(name, ...) \
	CYAML_FIELD_UINT_PTR(#name, MAY_BE_LEFT_OUT, struct limits, name),
    BOUNDS(X)
#undef X
	CYAML_FIELD_END};

static const cyaml_schema_value_t pattern_schema = {
    CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 1, 255)};
static const cyaml_schema_field_t proxy_fields[] = {
    CYAML_FIELD_STRING_PTR(
	"url", CYAML_FLAG_POINTER, struct outward, url, 1, 512),
    CYAML_FIELD_SEQUENCE("no_proxy", MAY_BE_LEFT_OUT, struct outward, no_proxy,
	&pattern_schema, 0, NO_PROXY_PATTERNS_MAX),
    CYAML_FIELD_END};

static const cyaml_schema_field_t document_fields[] = {
    CYAML_FIELD_STRING_PTR("admin_group", MAY_BE_LEFT_OUT, struct document,
	admin_group, 1, CONFIG_GROUP_MAX - 1),
    CYAML_FIELD_MAPPING_PTR(
	"restart", MAY_BE_LEFT_OUT, struct document, restart, restart_fields),
    CYAML_FIELD_MAPPING_PTR(
	"limits", MAY_BE_LEFT_OUT, struct document, limits, limits_fields),
    CYAML_FIELD_MAPPING_PTR(
	"proxy", MAY_BE_LEFT_OUT, struct document, proxy, proxy_fields),
    CYAML_FIELD_MAPPING_PTR(
	"vsock", MAY_BE_LEFT_OUT, struct document, vsock, vsock_fields),
    CYAML_FIELD_UINT_PTR(
	"child_depth", MAY_BE_LEFT_OUT, struct document, child_depth),
    CYAML_FIELD_END};

static const cyaml_schema_value_t document_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct document, document_fields)};

struct complaint {
	char *why;
	size_t size;
	int lines;    /* of the library's report so far */
	char key[64]; /* that it did not expect */
};

struct config
config_default(void)
{
	return (struct config){
	    .crashes = 5,
	    .seconds = 60,
	    .limits = bounds_default(),
	    .vsock_port = CHANNEL_PORT,
	    .child_depth = 3};
}

/* The library reports what is wrong, then where, innermost first. The first
 * two lines say enough; they name keys of the administrator's own file. */
static void
hear(cyaml_log_t level, void *ctx, const char *fmt, va_list args)
{
	struct complaint *c = ctx;
	size_t n = strlen(c->why);
	char line[256];

	(void)level;
	(void)vsnprintf(line, sizeof(line), fmt, args); /* cut is fine */
	line[strcspn(line, "\n")] = '\0';
	if (strstr(line, "Backtrace") != NULL || ++c->lines > 3)
		return;
	const char *text = strncmp(line, "Load: ", 6) == 0 ? line + 6 : line;
	text += strspn(text, " ");
	(void)sscanf(text, "Unexpected key: %63s", c->key); /* or stays "" */
	(void)snprintf(
	    c->why + n, c->size - n, "%s%s", n == 0 ? "" : ", ", text);
}

static unsigned
line_of(struct span text, size_t at)
{
	unsigned line = 1;

	for (size_t i = 0; i < at; i++)
		line += text.p[i] == '\n';
	return line;
}

/* What libcyaml would silently leave unread. */
static int
check_whole(struct span text, char *why, size_t size)
{
	const uint8_t *nul = text.n == 0 ? NULL : memchr(text.p, 0, text.n);

	if (nul != NULL) {
		snprintf(why, size, "a NUL byte in line %u",
		    line_of(text, (size_t)(nul - text.p)));
		return ERR_FORMAT;
	}
	for (size_t i = 0; i + 3 <= text.n; i++) {
		bool starts = i == 0 || text.p[i - 1] == '\n';
		bool marker = memcmp(text.p + i, "---", 3) == 0 ||
			      memcmp(text.p + i, "...", 3) == 0;
		if (i > 0 && starts && marker) {
			snprintf(why, size, "a second document in line %u",
			    line_of(text, i));
			return ERR_FORMAT;
		}
	}
	return 0;
}

static bool
only_comments(struct span text)
{
	bool comment = false;

	for (size_t i = 0; i < text.n; i++) {
		uint8_t c = text.p[i];
		if (c == '#')
			comment = true;
		else if (c == '\n')
			comment = false;
		else if (!comment && c != ' ' && c != '\r')
			return false;
	}
	return true;
}

static bool
in_word(uint8_t c)
{
	return c == '_' || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* Where key stands with a colon behind it; text.n: nowhere. A comment may
 * mislead this: it only serves to say a line. */
static size_t
find_key(struct span text, const char *key)
{
	size_t n = strlen(key);

	for (size_t at = 0; n > 0 && at + n < text.n; at++) {
		if ((at == 0 || !in_word(text.p[at - 1])) &&
		    text.p[at + n] == ':' && memcmp(text.p + at, key, n) == 0)
			return at;
	}
	return text.n;
}

/* The library names the place where the mapping began: say where the key
 * is. */
static void
place_key(struct complaint *c, struct span text)
{
	size_t at = find_key(text, c->key);

	if (at < text.n)
		(void)snprintf(c->why, c->size, "unknown key %s (line: %u)",
		    c->key, line_of(text, at));
}

struct range {
	const char *name;
	uint64_t usual, least, most;
};

static int
take_limit(const uint64_t *from, const struct range *in, struct span text,
    uint64_t *to, char *why, size_t size)
{
	if (from == NULL)
		return 0;
	if (*from < in->least || *from > in->most) {
		snprintf(why, size,
		    "limits: %s is %" PRIu64 " (line: %u); next: say %" PRIu64
		    " to %" PRIu64 ", or leave it out for %" PRIu64,
		    in->name, *from, line_of(text, find_key(text, in->name)),
		    in->least, in->most, in->usual);
		return ERR_FORMAT;
	}
	*to = *from;
	return 0;
}

static int
take_limits(const struct limits *l, struct span text, struct bounds *out,
    char *why, size_t size)
{
	int r = 0;

#define X(name, usual, least, most, ...)                                    \
	if (r == 0)                                                         \
		r = take_limit(l->name,                                     \
		    &(struct range){#name, (usual), (least), (most)}, text, \
		    &out->name, why, size);
	BOUNDS(X)
#undef X
	return r;
}

static int
take_proxy(const struct outward *o, struct span text, struct proxy *out,
    char *why, size_t size)
{
	const char *key = "url";
	char what[256];
	int r = proxy_url(o->url, out, what, sizeof(what));

	for (unsigned i = 0; r == 0 && i < o->no_proxy_count; i++) {
		key = "no_proxy";
		r = proxy_past(o->no_proxy[i], out, what, sizeof(what));
	}
	if (r != 0)
		(void)snprintf(why, size, "proxy (line: %u): %s",
		    line_of(text, find_key(text, key)), what); /* cut is fine */
	return r;
}

static int
take(const struct document *d, struct span text, struct config *out, char *why,
    size_t size)
{
	struct config c = config_default();

	if (d->admin_group != NULL)
		(void)snprintf(c.admin_group, sizeof(c.admin_group), "%s",
		    d->admin_group); /* the schema bounds it */
	if (d->restart != NULL) {
		c.crashes = d->restart->crashes;
		c.seconds = d->restart->seconds;
	}
	if (d->child_depth != NULL)
		c.child_depth = *d->child_depth;
	if (c.child_depth > CONFIG_DEPTH_MAX) {
		snprintf(why, size, "child_depth: 0 to %d", CONFIG_DEPTH_MAX);
		return ERR_FORMAT;
	}
	if (c.crashes > CONFIG_CRASHES_MAX || c.seconds < 1 ||
	    c.seconds > SECONDS_MAX) {
		snprintf(why, size,
		    "restart: crashes is 0 to %d, seconds 1 to %d",
		    CONFIG_CRASHES_MAX, SECONDS_MAX);
		return ERR_FORMAT;
	}
	if (d->proxy != NULL &&
	    take_proxy(d->proxy, text, &c.proxy, why, size) != 0)
		return ERR_FORMAT;
	if (d->limits != NULL &&
	    take_limits(d->limits, text, &c.limits, why, size) != 0)
		return ERR_FORMAT;
	if (d->vsock != NULL)
		c.vsock_port = d->vsock->port;
	/* The supervisor has no privilege for those below; the last is
	 * vsock's "any". */
	if (c.vsock_port <= CHANNEL_PRIVILEGED || c.vsock_port == UINT32_MAX) {
		snprintf(why, size, "vsock: port is %d to %u",
		    CHANNEL_PRIVILEGED + 1, UINT32_MAX - 1);
		return ERR_FORMAT;
	}
	*out = c;
	return 0;
}

int
config_parse(struct span text, struct config *out, char *why, size_t size)
{
	struct complaint c = {.why = why, .size = size};
	cyaml_config_t how = {.log_fn = hear,
	    .log_ctx = &c,
	    .mem_fn = cyaml_mem,
	    .log_level = CYAML_LOG_ERROR};
	struct document *d = NULL;
	int r;

	why[0] = '\0';
	if ((r = check_whole(text, why, size)) != 0)
		return r;
	if (only_comments(text)) {
		*out = config_default();
		return 0;
	}
	cyaml_err_t e = cyaml_load_data(
	    text.p, text.n, &how, &document_schema, (cyaml_data_t **)&d, NULL);
	if (e != CYAML_OK) {
		if (why[0] == '\0')
			snprintf(why, size, "%s", cyaml_strerror(e));
		place_key(&c, text);
		return ERR_FORMAT;
	}
	r = d == NULL ? 0 : take(d, text, out, why, size);
	(void)cyaml_free(&how, &document_schema, d, 0); /* cannot fail */
	return r;
}

int
config_load(const char *path, struct config *out, char *why, size_t size)
{
	struct buf *b = buf_new(FILE_MAX);
	char what[384] = "";
	int r;

	if (b == NULL)
		return ERR_NOMEM;
	r = safefile_read(path, FILE_MAX, false, b, why, size);
	if (r == ERR_NOT_FOUND) {
		*out = config_default();
		r = 0;
	} else if (r == 0) {
		r = config_parse(buf_span(b), out, what, sizeof(what));
		if (r != 0)
			(void)snprintf(why, size, "%s: %s", path, what);
	}
	buf_free(b);
	return r;
}
