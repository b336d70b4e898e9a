// SPDX-License-Identifier: Apache-2.0
// Doubly linked circular lists with the links inside the objects. An unlinked node points at itself.
#ifndef SAGUARO_CORE_LIST_H
#define SAGUARO_CORE_LIST_H

#include <stdbool.h>

struct list {
    struct list *next;
    struct list *previous;
};

static inline void list_init(struct list *node) {
    node->next = node->previous = node;
}
static inline bool list_empty(const struct list *node) {
    return node->next == node;
}

/* Links `node` in front of `at`; with the list's head as `at` that is the end of the list. */
static inline void list_insert_before(struct list *at, struct list *node) {
    node->next = at;
    node->previous = at->previous;
    at->previous->next = node;
    at->previous = node;
}

/* Takes `node` out of its list; harmless for an unlinked node. */
static inline void list_remove(struct list *node) {
    node->next->previous = node->previous;
    node->previous->next = node->next;
    list_init(node);
}

#endif
