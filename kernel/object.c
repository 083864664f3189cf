/* See object.h. The kernel heap is one arena without a quota; every use of it, and of the lists,
 * happens with pre-emption deferred, so a process that is parked or killed anywhere leaves both
 * whole. */
#include "object.h"

#include <stdint.h>
#include <string.h>

#include "arena.h"
#include "pages.h"
#include "preempt.h"

static struct arena kernel_heap = {.page_limit = SIZE_MAX, .essential = true, .raw = true};

void *kernel_alloc(size_t bytes)
{
    preempt_disable();
    void *block = arena_alloc(&kernel_heap, bytes);
    preempt_enable();
    return block;
}

void kernel_free(void *block, size_t bytes)
{
    preempt_disable();
    arena_free(&kernel_heap, block, bytes);
    preempt_enable();
}

size_t kernel_trim(void *block, size_t old_bytes, size_t new_bytes)
{
    if (new_bytes <= ARENA_SMALL_BYTES || new_bytes >= old_bytes)
        return old_bytes;
    preempt_disable();
    void *same = arena_resize(&kernel_heap, block, old_bytes, new_bytes);
    preempt_enable();
    return same ? new_bytes : old_bytes;
}

bool object_owner_can_pay(const struct object_owner *owner, size_t bytes)
{
    size_t held = owner->bytes + (owner->arena_pages ? *owner->arena_pages * PAGE_SIZE : 0);
    if (!account_can_pay(owner->account, bytes))
        return false;
    return held <= owner->bytes_limit && bytes <= owner->bytes_limit - held;
}

/* The same for memory that is not taken yet. */
static bool can_take(const struct object_owner *owner, size_t bytes)
{
    return object_owner_can_pay(owner, bytes) && (owner->essential || pages_spare(PAGES_OF(bytes)));
}

static void list_insert(struct object *object)
{
    struct object_owner *owner = object->owner;
    object->next = owner->first;
    object->previous = NULL;
    if (object->next)
        object->next->previous = object;
    owner->first = object;
}

static void list_remove(struct object *object)
{
    if (object->previous)
        object->previous->next = object->next;
    else
        object->owner->first = object->next;
    if (object->next)
        object->next->previous = object->previous;
}

static void link_object(struct object *object, struct object_owner *owner)
{
    object->owner = owner;
    owner->bytes += object->charged_bytes;
    account_add(owner->account, object->charged_bytes);
    if (!object->held)
        list_insert(object);
}

static void unlink_object(struct object *object)
{
    object->owner->bytes -= object->charged_bytes;
    account_subtract(object->owner->account, object->charged_bytes);
    if (!object->held)
        list_remove(object);
}

void object_hold(struct object *object)
{
    preempt_disable();
    if (!object->held)
        list_remove(object);
    object->held = true;
    preempt_enable();
}

void object_let_go(struct object *object)
{
    preempt_disable();
    if (object->held)
        list_insert(object);
    object->held = false;
    preempt_enable();
}

static struct object *make(struct object_owner *owner, size_t struct_bytes,
                           void (*release)(struct object *))
{
    struct object *object = NULL;
    preempt_disable();
    if (can_take(owner, struct_bytes))
        object = arena_alloc(&kernel_heap, struct_bytes);
    if (object) {
        memset(object, 0, struct_bytes);
        object->struct_bytes = object->charged_bytes = struct_bytes;
        object->release = release;
        link_object(object, owner);
    }
    preempt_enable();
    return object;
}

void *object_new(struct object_owner *owner, size_t struct_bytes, void (*release)(struct object *))
{
    struct object *object;
    do
        object = make(owner, struct_bytes, release);
    while (!object && memory_reclaim());
    return object;
}

static bool charge(struct object *object, size_t bytes)
{
    preempt_disable();
    bool paid = can_take(object->owner, bytes);
    if (paid) {
        object->charged_bytes += bytes;
        object->owner->bytes += bytes;
        account_add(object->owner->account, bytes);
    }
    preempt_enable();
    return paid;
}

bool object_charge(struct object *object, size_t bytes)
{
    bool paid;
    do
        paid = charge(object, bytes);
    while (!paid && memory_reclaim());
    return paid;
}

void object_discharge(struct object *object, size_t bytes)
{
    preempt_disable();
    object->charged_bytes -= bytes;
    object->owner->bytes -= bytes;
    account_subtract(object->owner->account, bytes);
    preempt_enable();
}

size_t object_cost(const struct object *object)
{
    return object->charged_bytes + (object->attached ? object->attached->charged_bytes : 0);
}

void object_hand_over(struct object *object, struct object_owner *to)
{
    preempt_disable();
    unlink_object(object);
    link_object(object, to);
    if (object->attached) {
        unlink_object(object->attached);
        link_object(object->attached, to);
    }
    preempt_enable();
}

void object_destroy(struct object *object)
{
    preempt_disable();
    unlink_object(object);
    if (object->release)
        object->release(object);
    arena_free(&kernel_heap, object, object->struct_bytes);
    preempt_enable();
}

bool object_destroy_some(struct object_owner *owner, size_t *budget)
{
    for (; owner->first && *budget > 0; --*budget)
        object_destroy(owner->first);
    return !owner->first;
}
