/* SPDX-License-Identifier: ISC */
/* What for: talking to the desktop's keychain. Trusts: the user's session
 * bus, which is the user. At a bound: gives up at the deadline and says
 * so. */
#include "vault/backend/keychain.h"

#include "lib/buf.h"
#include "lib/log.h"
#include "vault/backend.h"

#include <libsecret/secret.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define B64 sodium_base64_VARIANT_ORIGINAL
#define B64_MAX (KEEP_MAX * 4 / 3 + 8)
#define CANCEL_MS 100 /* for a cancelled call to come back */

static const SecretSchema schema = {
    .name = "org.hatcheck.Credential",
    .flags = SECRET_SCHEMA_NONE,
    .attributes =
	{
	    {"service", SECRET_SCHEMA_ATTRIBUTE_STRING},
	    {"name", SECRET_SCHEMA_ATTRIBUTE_STRING},
	    {"version", SECRET_SCHEMA_ATTRIBUTE_STRING},
	    {"house", SECRET_SCHEMA_ATTRIBUTE_STRING},
	    {NULL, 0},
	},
};

/*
 * libsecret (0.20.5) dereferences NULL when a provider ends, another begins
 * and tells of its collections while a service object of the first lives:
 * its signal handlers read a cached property that is gone. We ask for what
 * we want to know each time, so the handlers of our types do nothing.
 */
static void
ignore_signal(GDBusProxy *proxy, const gchar *sender, const gchar *signal,
    GVariant *parameters)
{
	(void)proxy;
	(void)sender;
	(void)signal;
	(void)parameters;
}

static void
quiet_collection_class(gpointer class, gpointer data)
{
	(void)data;
	G_DBUS_PROXY_CLASS(class)->g_signal = ignore_signal;
}

static GType
quiet_collection_type(void)
{
	GType t = g_type_from_name("HatcheckCollection");

	return t != 0 ? t
		      : g_type_register_static_simple(SECRET_TYPE_COLLECTION,
			    "HatcheckCollection", sizeof(SecretCollectionClass),
			    quiet_collection_class, sizeof(SecretCollection),
			    NULL, (GTypeFlags)0);
}

static void
quiet_service_class(gpointer class, gpointer data)
{
	(void)data;
	G_DBUS_PROXY_CLASS(class)->g_signal = ignore_signal;
	SECRET_SERVICE_CLASS(class)->collection_gtype = quiet_collection_type();
}

static GType
quiet_service_type(void)
{
	GType t = g_type_from_name("HatcheckService");

	return t != 0 ? t
		      : g_type_register_static_simple(SECRET_TYPE_SERVICE,
			    "HatcheckService", sizeof(SecretServiceClass),
			    quiet_service_class, sizeof(SecretService), NULL,
			    (GTypeFlags)0);
}

struct keychain {
	GMainContext *context;
	GDBusConnection *bus;
	SecretService *service;
	bool fresh; /* the connection was made in this call */
	int64_t deadline_ms;
	char why[256];
};

/* --- one call, and its deadline -------------------------------------- */

/* Shared by us and the callback; the last one frees it. */
struct call {
	GAsyncResult *result;
	GCancellable *cancel;
	bool abandoned;
};

static void
on_result(GObject *source, GAsyncResult *result, gpointer data)
{
	struct call *c = data;

	(void)source;
	if (c->abandoned) {
		g_object_unref(c->cancel);
		g_free(c);
		return;
	}
	c->result = g_object_ref(result);
}

static gboolean
on_deadline(gpointer data)
{
	*(bool *)data = true;
	return G_SOURCE_REMOVE;
}

static void
turn_until(struct keychain *k, struct call *c, int64_t ms)
{
	GSource *timer = g_timeout_source_new(ms > 0 ? (guint)ms : 0);
	bool over = false;

	g_source_set_callback(timer, on_deadline, &over, NULL);
	g_source_attach(timer, k->context);
	while (c->result == NULL && !over)
		g_main_context_iteration(k->context, TRUE);
	g_source_destroy(timer);
	g_source_unref(timer);
}

static struct call *
call_new(void)
{
	struct call *c = g_new0(struct call, 1);

	c->cancel = g_cancellable_new();
	return c;
}

/* The result, or NULL when there was none in time. */
static GAsyncResult *
call_wait(struct keychain *k, struct call *c)
{
	GAsyncResult *result;

	turn_until(k, c, k->deadline_ms - backend_now_ms());
	if (c->result == NULL) {
		g_cancellable_cancel(c->cancel);
		turn_until(k, c, CANCEL_MS);
	}
	if (c->result == NULL) {
		c->abandoned = true; /* should it ever come back */
		return NULL;
	}
	result = c->result;
	g_object_unref(c->cancel);
	g_free(c);
	return result;
}

/* --- what went wrong ------------------------------------------------- */

static int __attribute__((format(printf, 3, 4)))
say(struct keychain *k, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(k->why, sizeof(k->why), fmt, ap);
	va_end(ap);
	return err;
}

static int
no_answer(struct keychain *k)
{
	return say(k, ERR_UNAVAILABLE,
	    "The keychain does not answer (it hangs, or waits for a person).");
}

/* Eats e. */
static int
fail(struct keychain *k, GError *e)
{
	char text[128];
	int r;

	if (e == NULL)
		return say(
		    k, ERR_UNAVAILABLE, "The keychain failed without a word.");
	log_escape(span_str(e->message), text, sizeof(text));
	if (g_error_matches(e, SECRET_ERROR, SECRET_ERROR_IS_LOCKED))
		r = say(k, ERR_LOCKED, "The keychain is locked.");
	else if (g_error_matches(e, G_IO_ERROR, G_IO_ERROR_CANCELLED) ||
		 g_error_matches(e, G_IO_ERROR, G_IO_ERROR_TIMED_OUT) ||
		 g_error_matches(e, G_DBUS_ERROR, G_DBUS_ERROR_TIMEOUT))
		r = no_answer(k);
	else if (g_error_matches(
		     e, G_DBUS_ERROR, G_DBUS_ERROR_SERVICE_UNKNOWN) ||
		 g_error_matches(
		     e, G_DBUS_ERROR, G_DBUS_ERROR_NAME_HAS_NO_OWNER))
		r = say(k, ERR_UNAVAILABLE,
		    "No keychain (Secret Service) runs on the session bus.");
	else
		r = say(k, ERR_UNAVAILABLE, "The keychain failed: %s", text);
	g_error_free(e);
	return r;
}

/* --- connecting ------------------------------------------------------ */

/* Only a socket path: GIO would start a bus, or a program, for others. */
static int
check_address(struct keychain *k)
{
	const char *set = getenv("DBUS_SESSION_BUS_ADDRESS");
	char path[128], address[160];
	struct stat st;

	if (set != NULL && set[0] != '\0') {
		if (strncmp(set, "unix:path=", 10) == 0 &&
		    strchr(set, ';') == NULL)
			return 0;
		return say(k, ERR_UNAVAILABLE,
		    "The session bus address is no plain socket path.");
	}
	snprintf(path, sizeof(path), "/run/user/%u/bus", (unsigned)geteuid());
	if (stat(path, &st) != 0 || !S_ISSOCK(st.st_mode))
		return say(k, ERR_UNAVAILABLE,
		    "There is no session bus, so no keychain either.");
	snprintf(address, sizeof(address), "unix:path=%s", path);
	setenv("DBUS_SESSION_BUS_ADDRESS", address, 1);
	return 0;
}

static int
get_bus(struct keychain *k)
{
	struct call *c = call_new();
	GAsyncResult *result;
	GError *e = NULL;

	g_bus_get(G_BUS_TYPE_SESSION, c->cancel, on_result, c);
	if ((result = call_wait(k, c)) == NULL)
		return no_answer(k);
	k->bus = g_bus_get_finish(result, &e);
	g_object_unref(result);
	if (k->bus == NULL) {
		if (e != NULL && e->domain == G_IO_ERROR &&
		    e->code != G_IO_ERROR_CANCELLED) {
			g_error_free(e);
			return say(k, ERR_UNAVAILABLE,
			    "The session bus cannot be reached, so no "
			    "keychain either.");
		}
		return fail(k, e);
	}
	/* The bus may end before we do. */
	g_dbus_connection_set_exit_on_close(k->bus, FALSE);
	return 0;
}

static int
get_service(struct keychain *k)
{
	struct call *c = call_new();
	GAsyncResult *result;
	GError *e = NULL;

	secret_service_open(quiet_service_type(), NULL,
	    SECRET_SERVICE_OPEN_SESSION, c->cancel, on_result, c);
	if ((result = call_wait(k, c)) == NULL)
		return no_answer(k);
	k->service = secret_service_open_finish(result, &e);
	g_object_unref(result);
	return k->service == NULL ? fail(k, e) : 0;
}

void
keychain_disconnect(struct keychain *k)
{
	if (k->service != NULL)
		g_object_unref(k->service);
	if (k->bus != NULL)
		g_object_unref(k->bus);
	k->service = NULL;
	k->bus = NULL;
}

static int
connect_service(struct keychain *k)
{
	int r;

	k->fresh = k->service == NULL;
	if (!k->fresh)
		return 0;
	if ((r = check_address(k)) != 0 || (r = get_bus(k)) != 0 ||
	    (r = get_service(k)) != 0)
		keychain_disconnect(k);
	return r;
}

/* The default collection, unlocked. Asked each time: it may have been
 * locked since. */
static int
get_collection(struct keychain *k, SecretCollection **out)
{
	SecretCollection *found;
	struct call *c;
	GAsyncResult *result;
	GError *e = NULL;
	int r;

	if ((r = connect_service(k)) != 0)
		return r;
	c = call_new();
	secret_collection_for_alias(k->service, SECRET_COLLECTION_DEFAULT,
	    SECRET_COLLECTION_NONE, c->cancel, on_result, c);
	if ((result = call_wait(k, c)) == NULL)
		return no_answer(k);
	found = secret_collection_for_alias_finish(result, &e);
	g_object_unref(result);
	if (found == NULL && e != NULL)
		return fail(k, e);
	if (found == NULL)
		return say(k, ERR_UNAVAILABLE,
		    "The keychain has no default collection.");
	if (secret_collection_get_locked(found)) {
		g_object_unref(found);
		return say(k, ERR_LOCKED, "The keychain is locked.");
	}
	*out = found;
	return 0;
}

/* --- entries --------------------------------------------------------- */

static GHashTable *
attributes(const struct keychain_id *id)
{
	char version[16];

	snprintf(version, sizeof(version), "%u", (unsigned)id->version);
	return secret_attributes_build(&schema, "service", "hatcheck", "name",
	    id->name, "version", version, "house", id->house, NULL);
}

/* Never unlocks. */
static int
search(struct keychain *k, const struct keychain_id *id, GList **out)
{
	GHashTable *at = attributes(id);
	struct call *c = call_new();
	GAsyncResult *result;
	GError *e = NULL;

	secret_service_search(k->service, &schema, at, SECRET_SEARCH_ALL,
	    c->cancel, on_result, c);
	g_hash_table_unref(at);
	if ((result = call_wait(k, c)) == NULL)
		return no_answer(k);
	*out = secret_service_search_finish(k->service, result, &e);
	g_object_unref(result);
	return e != NULL ? fail(k, e) : 0;
}

static int
load(struct keychain *k, SecretItem *item)
{
	struct call *c;
	GAsyncResult *result;
	GError *e = NULL;
	gboolean ok;

	if (secret_item_get_locked(item))
		return say(k, ERR_LOCKED, "The keychain is locked.");
	c = call_new();
	secret_item_load_secret(item, c->cancel, on_result, c);
	if ((result = call_wait(k, c)) == NULL)
		return no_answer(k);
	ok = secret_item_load_secret_finish(item, result, &e);
	g_object_unref(result);
	return ok ? 0 : fail(k, e);
}

static int
decode(struct keychain *k, SecretItem *item, struct keep **out)
{
	SecretValue *v = secret_item_get_secret(item);
	struct buf *b = buf_new_locked(KEEP_MAX + 1);
	uint8_t *p = NULL;
	size_t got = 0;
	gsize n = 0;
	int r = b == NULL ? ERR_NOMEM : buf_reserve(b, KEEP_MAX, &p);

	if (r == 0 && v != NULL) {
		const char *text = secret_value_get(v, &n);
		if (n == 0 || n > B64_MAX ||
		    sodium_base642bin(
			p, KEEP_MAX, text, n, NULL, &got, NULL, B64) != 0 ||
		    got == 0)
			r = say(k, ERR_FORMAT,
			    "A keychain entry of ours was changed.");
	} else if (r == 0) {
		r = say(k, ERR_UNAVAILABLE, "The keychain gave no value.");
	}
	if (r == 0)
		r = keep_new(p, got, out);
	if (p != NULL)
		buf_wipe(p, got);
	if (v != NULL)
		secret_value_unref(v);
	buf_free(b);
	return r;
}

static void
list_free(GList *items)
{
	g_list_free_full(items, g_object_unref);
}

static int
try_get(struct keychain *k, const struct keychain_id *id, struct keep **out)
{
	SecretCollection *collection = NULL;
	GList *items = NULL;
	int r;

	if ((r = get_collection(k, &collection)) != 0)
		return r;
	g_object_unref(collection);
	if ((r = search(k, id, &items)) != 0)
		return r;
	if (items == NULL)
		return say(k, ERR_NOT_FOUND, "The keychain has no such entry.");
	if ((r = load(k, items->data)) == 0)
		r = decode(k, items->data, out);
	list_free(items);
	return r;
}

static SecretValue *
encode(struct span value)
{
	struct buf *b = buf_new_locked(B64_MAX);
	SecretValue *v = NULL;
	uint8_t *p;

	if (b != NULL && buf_reserve(b, B64_MAX, &p) == 0) {
		sodium_bin2base64((char *)p, B64_MAX, value.p, value.n, B64);
		v = secret_value_new((const char *)p, -1, "text/plain");
		buf_wipe(p, B64_MAX);
	}
	buf_free(b);
	return v;
}

static int
create(struct keychain *k, SecretCollection *collection,
    const struct keychain_id *id, const char *label, struct span value)
{
	GHashTable *at = attributes(id);
	SecretValue *v = encode(value);
	GAsyncResult *result;
	SecretItem *item;
	GError *e = NULL;
	struct call *c;

	if (v == NULL) {
		g_hash_table_unref(at);
		return say(k, ERR_NOMEM, "No locked memory is left.");
	}
	c = call_new();
	secret_item_create(collection, &schema, at, label, v,
	    SECRET_ITEM_CREATE_REPLACE, c->cancel, on_result, c);
	g_hash_table_unref(at);
	secret_value_unref(v);
	if ((result = call_wait(k, c)) == NULL)
		return no_answer(k);
	item = secret_item_create_finish(result, &e);
	g_object_unref(result);
	if (item == NULL)
		return fail(k, e);
	g_object_unref(item);
	return 0;
}

static int
delete_one(struct keychain *k, SecretItem *item)
{
	struct call *c;
	GAsyncResult *result;
	GError *e = NULL;
	gboolean ok;

	if (secret_item_get_locked(item))
		return say(k, ERR_LOCKED, "The keychain is locked.");
	c = call_new();
	secret_item_delete(item, c->cancel, on_result, c);
	if ((result = call_wait(k, c)) == NULL)
		return no_answer(k);
	ok = secret_item_delete_finish(item, result, &e);
	g_object_unref(result);
	return ok ? 0 : fail(k, e);
}

static int
try_delete(struct keychain *k, const struct keychain_id *id)
{
	SecretCollection *collection = NULL;
	GList *items = NULL;
	int r;

	if ((r = get_collection(k, &collection)) != 0)
		return r;
	g_object_unref(collection);
	r = search(k, id, &items);
	for (GList *i = items; i != NULL && r == 0; i = i->next)
		r = delete_one(k, i->data);
	list_free(items);
	return r;
}

static int
try_put(struct keychain *k, const struct keychain_id *id, const char *label,
    struct span value)
{
	SecretCollection *collection = NULL;
	int r;

	if ((r = get_collection(k, &collection)) != 0)
		return r;
	r = create(k, collection, id, label, value);
	g_object_unref(collection);
	return r;
}

/* --- the interface --------------------------------------------------- */

int
keychain_new(struct keychain **out)
{
	struct keychain *k = calloc(1, sizeof(*k));

	if (k == NULL)
		return ERR_NOMEM;
	k->context = g_main_context_new();
	*out = k;
	return 0;
}

void
keychain_free(struct keychain *k)
{
	if (k == NULL)
		return;
	keychain_disconnect(k);
	g_main_context_unref(k->context);
	free(k);
}

const char *
keychain_why(const struct keychain *k)
{
	return k->why;
}

static void
begin(struct keychain *k, int64_t deadline_ms)
{
	k->deadline_ms = deadline_ms;
	k->why[0] = '\0';
	g_main_context_push_thread_default(k->context);
}

/* Signals that came meanwhile (owner changes) are taken in; after a failure
 * of the connection nothing of it is used again. */
static int
end(struct keychain *k, int r)
{
	while (g_main_context_iteration(k->context, FALSE))
		;
	g_main_context_pop_thread_default(k->context);
	if (r == ERR_UNAVAILABLE)
		keychain_disconnect(k);
	return r;
}

/* A provider that died since the last call is worth one more try. */
static bool
again(struct keychain *k, int r)
{
	if (r != ERR_UNAVAILABLE || k->fresh ||
	    backend_now_ms() >= k->deadline_ms)
		return false;
	keychain_disconnect(k);
	return true;
}

int
keychain_probe(struct keychain *k, int64_t deadline_ms)
{
	SecretCollection *collection = NULL;
	int r;

	begin(k, deadline_ms);
	do {
		r = get_collection(k, &collection);
	} while (r != 0 && again(k, r));
	if (collection != NULL)
		g_object_unref(collection);
	return end(k, r);
}

int
keychain_get(struct keychain *k, const struct keychain_id *id,
    int64_t deadline_ms, struct keep **out)
{
	int r;

	begin(k, deadline_ms);
	do {
		r = try_get(k, id, out);
	} while (r != 0 && again(k, r));
	return end(k, r);
}

int
keychain_put(struct keychain *k, const struct keychain_id *id,
    const char *label, struct span value, int64_t deadline_ms)
{
	int r;

	if (value.n == 0 || value.n > KEEP_MAX)
		return ERR_TOO_BIG;
	begin(k, deadline_ms);
	do {
		r = try_put(k, id, label, value);
	} while (r != 0 && again(k, r));
	return end(k, r);
}

int
keychain_delete(
    struct keychain *k, const struct keychain_id *id, int64_t deadline_ms)
{
	int r;

	begin(k, deadline_ms);
	do {
		r = try_delete(k, id);
	} while (r != 0 && again(k, r));
	return end(k, r);
}
