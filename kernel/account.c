/* See account.h. */
#include "account.h"

#include "object.h"

struct account *account_new(size_t bytes_limit)
{
    struct account *account = kernel_alloc(sizeof *account);
    if (account)
        *account = (struct account){.bytes_limit = bytes_limit};
    return account;
}

void account_hold(struct account *account)
{
    if (account)
        account->holders++;
}

void account_let_go(struct account *account)
{
    if (account && --account->holders == 0)
        kernel_free(account, sizeof *account);
}
