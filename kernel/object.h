/* Kernel objects: what C holds on behalf of a process outside that process's own heap (capabilities,
 * messages in flight).
 *
 * Every object has one owner, is charged to it and stands in its list (or is held by one that does),
 * so that the end of a process finds and releases all of them without asking its Lua state. Objects live in one kernel heap;
 * creating, handing over and destroying them defers pre-emption, because processes share that heap.
 */
#ifndef KHOROS_OBJECT_H
#define KHOROS_OBJECT_H

#include <stdbool.h>
#include <stddef.h>

#include "account.h"

struct object;

struct object_owner {
    struct object *first;
    size_t bytes;               /* sum over its objects of what they are charged */
    size_t bytes_limit;         /* what the owner may hold, the pages of its arena included */
    bool essential;             /* may take the pages kept back, see pages_spare */
    const size_t *arena_pages;  /* pages its arena has taken, or NULL */
    struct account *account;    /* where it counts as well, or NULL */
};

struct object {
    struct object *next, *previous;
    struct object_owner *owner;
    struct object *attached;    /* moves along with this one (its memory, say), or NULL */
    bool held;                  /* by another object: not in the owner's list, see object_hold */
    size_t struct_bytes;        /* size of the structure this one begins */
    size_t charged_bytes;       /* structure and whatever hangs on it */
    void (*release)(struct object *object);  /* frees what hangs on it; may be NULL */
};

/* A zeroed structure of struct_bytes that begins with a struct object, charged to owner.
 * NULL: the owner's limit or the machine is exhausted. */
void *object_new(struct object_owner *owner, size_t struct_bytes,
                 void (*release)(struct object *object));

/* Charges more (or, negative growth being object_discharge, less). False: over the limit. */
bool object_charge(struct object *object, size_t bytes);
void object_discharge(struct object *object, size_t bytes);

/* Moving an object, and what is attached to it, to another owner, who must be able to pay: in two halves,
 * for several objects that go together or not at all. */
size_t object_cost(const struct object *object);
bool object_owner_can_pay(const struct object_owner *owner, size_t bytes);
void object_hand_over(struct object *object, struct object_owner *to);

/* A held object is still charged to its owner, but it is another object that destroys it. */
void object_hold(struct object *object);
void object_let_go(struct object *object);

void object_destroy(struct object *object);

/* Destroys the owner's objects, at most *budget of them, which it counts down. → are all gone? */
bool object_destroy_some(struct object_owner *owner, size_t *budget);

/* The kernel heap itself, for what hangs on objects. Callers charge the object first. */
void *kernel_alloc(size_t bytes);
void kernel_free(void *block, size_t bytes);

/* Cuts a large block down where it stands; → how many bytes it has now. */
size_t kernel_trim(void *block, size_t old_bytes, size_t new_bytes);

#endif
