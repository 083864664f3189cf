/* Fingerprints of Lua tables as they are in memory. Reads Lua's own structures, because that is what makes
 * it several times faster than encoding: it allocates nothing and calls nothing of Lua's that could run
 * a program, so nothing changes between the first and the last table of a pass.
 */
#ifndef KHOROS_FINGERPRINT_TABLE_H
#define KHOROS_FINGERPRINT_TABLE_H

#include "fingerprint.h"
#include "lobject.h"

#define FINGERPRINT_CACHE_SLOTS 256

/* One pass over tables. While it lasts a text that is a key stays at its address. */
struct fingerprint_pass {
    const struct fingerprint_key *key;
    Table *names;                   /* object → id or permanent's name, read raw */
    const void *texts[FINGERPRINT_CACHE_SLOTS];
    fingerprint factors[FINGERPRINT_CACHE_SLOTS];
};

void fingerprint_pass_start(struct fingerprint_pass *pass, const struct fingerprint_key *key, Table *names);

/* False: something in it has no name, so it is not as it was saved; or has no form there. */
bool fingerprint_of_table(struct fingerprint_pass *pass, const Table *table, fingerprint *result);

#endif
