/* SPDX-License-Identifier: ISC */
/*
 * The handlers behind the table in verbs.c. Each reports its own errors and
 * returns the exit status (enum cli_code).
 */
#ifndef CLI_VERBS_H
#define CLI_VERBS_H

#include "cli/verb.h"

typedef int verb_handler(struct cli *cli, const struct args *a);

/* house.c */
verb_handler init_run, start_run, unlock_run, lock_run, status_run, stop_run,
    logs_run;
/* credential.c, probe.c */
verb_handler credential_add_run, credential_list_run, credential_show_run,
    credential_bind_run, credential_rotate_run, credential_remove_run,
    credential_test_run;
/* vault_verbs.c */
verb_handler vault_status_run, vault_migrate_run, vault_backup_run,
    vault_restore_run;
/* grant.c */
verb_handler grant_apply_run, grant_list_run, grant_show_run, grant_remove_run,
    grant_suggest_run;
/* session.c */
verb_handler session_create_run, session_list_run, session_show_run,
    session_end_run, token_list_run, token_metadata_run, key_list_run, key_rotate_run, token_inspect_run, token_revoke_run,
    revoke_run, explain_run;
/* audit.c, doctor.c, preset_verbs.c, completion.c, metrics.c */
verb_handler audit_tail_run, audit_export_run, audit_verify_run, doctor_run, preset_list_run,
    preset_show_run, completion_run, metrics_run;

#endif
