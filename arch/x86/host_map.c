// SPDX-License-Identifier: Apache-2.0
// The hypervisor's own page tables. The paging engine makes those of image, devices and stacks from heap
// pages; the heap's own direct map cannot stand on heap pages, so that its tables come from a reserve of
// their own.
#include "arch/x86/host_map.h"

#include <errno.h>
#include <string.h>
#include "arch/x86/paging_host.h"
#include "arch/x86/registers.h"
#include "core/arch.h"
#include "core/log.h"

#define ENTRIES     512u
#define HEAP_SLOTS  8u
#define WINDOW_SLOT 8u /* relative to MAP_SLOT */
#define TABLE_BITS  (PTE_PRESENT | PTE_WRITE | PTE_ACCESSED)

extern const char text_start[], text_end[], rodata_start[], rodata_end[], data_start[], image_start[],
    image_end[];
extern const char boot_stack_guard[], boot_stack[];

static uint64_t heap_level3[HEAP_SLOTS][ENTRIES] __attribute__((aligned(4096)));
static uint64_t first_directory[ENTRIES] __attribute__((aligned(4096)));
static uint64_t window_level3[ENTRIES] __attribute__((aligned(4096)));
static uint64_t window_directory[ENTRIES] __attribute__((aligned(4096)));

static struct paging host;
static uint64_t image_physical; /* where image_start lies */
static uint64_t reserve_next, reserve_end;
static struct spinlock map_lock; /* guards what follows and the heap's tables */
static uint64_t device_next = DEVICE_BASE;
static uint64_t stack_next = STACK_BASE;

static uint64_t physical_of_image(const void *object) {
    return (uint64_t)object - (uint64_t)image_start + image_physical;
}

uint64_t arch_heap_physical(const void *virtual_address) {
    return (uint64_t)virtual_address - HEAP_BASE;
}

void *arch_heap_virtual(uint64_t physical) {
    return (void *)(physical + HEAP_BASE);
}

/* A zeroed page of the reserve, through the heap's direct map. */
static uint64_t *reserve_page(void) {
    if (reserve_next == reserve_end)
        return NULL;
    void *page = arch_heap_virtual(reserve_next);
    reserve_next += PAGE_SIZE;
    memset(page, 0, PAGE_SIZE);
    return page;
}

static void heap_entry(uint64_t *directory, uint64_t physical) {
    directory[physical >> 21 & (ENTRIES - 1)] =
        physical | TABLE_BITS | PTE_DIRTY | PTE_LARGE | PTE_NO_EXECUTE;
}

void host_map_early(uint64_t reserve) {
    uint64_t *root = (uint64_t *)(cr3_read() & PTE_ADDRESS);
    uint64_t base = (uint64_t)image_start;

    /* The image is contiguous (abi/handover.h): the loader's tables say where it is. */
    const uint64_t *table = root;
    for (unsigned shift = 39; shift > 12; shift -= 9)
        table = (const uint64_t *)(table[base >> shift & (ENTRIES - 1)] & PTE_ADDRESS);
    image_physical = table[base >> 12 & (ENTRIES - 1)] & PTE_ADDRESS;

    for (unsigned i = 0; i < HEAP_SLOTS; i++)
        root[MAP_SLOT + i] = physical_of_image(heap_level3[i]) | TABLE_BITS;
    heap_level3[reserve >> 39][reserve >> 30 & (ENTRIES - 1)] =
        physical_of_image(first_directory) | TABLE_BITS;
    heap_entry(first_directory, reserve);
    reserve_next = reserve;
    reserve_end = reserve + LARGE_PAGE_SIZE;
}

int arch_heap_map(uint64_t physical) {
    int error = 0;

    if (physical >= HEAP_LIMIT || physical % LARGE_PAGE_SIZE)
        return -ENOMEM;
    spin_lock(&map_lock);
    uint64_t *entry = &heap_level3[physical >> 39][physical >> 30 & (ENTRIES - 1)];
    uint64_t *directory;
    if (!*entry) {
        directory = reserve_page();
        if (directory)
            *entry = arch_heap_physical(directory) | TABLE_BITS;
    } else if ((*entry & PTE_ADDRESS) == physical_of_image(first_directory)) {
        directory = first_directory;
    } else {
        directory = arch_heap_virtual(*entry & PTE_ADDRESS);
    }
    if (directory)
        heap_entry(directory, physical);
    else
        error = -ENOMEM;
    spin_unlock(&map_lock);
    return error;
}

static int map_image(const char *start, const char *end, unsigned rights) {
    uint64_t size = ((uint64_t)end - (uint64_t)start + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1);
    return paging_map(&host, (uint64_t)start, physical_of_image(start), size, rights);
}

int host_map_build(uint64_t image) {
    bug_if(image != image_physical);

    int error = paging_init(&host, &paging_host_format, NULL, LARGE_PAGE_SHIFT);
    if (!error)
        error = map_image(text_start, text_end, PAGING_READ | PAGING_EXECUTE);
    if (!error)
        error = map_image(rodata_start, rodata_end, PAGING_READ);
    if (!error)
        error = map_image(data_start, boot_stack_guard, PAGING_READ | PAGING_WRITE);
    if (!error)
        error = map_image(boot_stack, image_end, PAGING_READ | PAGING_WRITE);
    if (error)
        return error;
    for (unsigned i = 0; i < HEAP_SLOTS; i++)
        host.root[MAP_SLOT + i] = physical_of_image(heap_level3[i]) | TABLE_BITS;
    host.root[MAP_SLOT + WINDOW_SLOT] = physical_of_image(window_level3) | TABLE_BITS;
    window_level3[0] = physical_of_image(window_directory) | TABLE_BITS;

    /* Every slot that may ever be used has its table now: other roots copy the upper half. */
    error = paging_map(&host, STACK_BASE, physical_of_image(rodata_start), PAGE_SIZE, PAGING_READ);
    if (!error)
        error = paging_map(&host, DEVICE_BASE, physical_of_image(rodata_start), PAGE_SIZE, PAGING_READ);
    stack_next += PAGE_SIZE;
    device_next += PAGE_SIZE;
    return error;
}

uint64_t host_map_root(void) {
    return arch_heap_physical(host.root);
}

void host_map_load(void) {
    cr3_write(host_map_root());
}

uint64_t *host_map_window_directory(void) {
    return window_directory;
}

static void *map_range(uint64_t physical, uint64_t size, unsigned rights) {
    uint64_t offset = physical & (PAGE_SIZE - 1);

    if (!size || size > 1ull << 36 || physical > PTE_ADDRESS || physical + size > PTE_ADDRESS)
        return NULL;
    uint64_t bytes = (offset + size + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1);
    /* As the physical address lies within 2 MiB, so that large pages fit; a hole before and after. */
    uint64_t within = (physical - offset) & (LARGE_PAGE_SIZE - 1);

    spin_lock(&map_lock);
    uint64_t at = ((device_next + LARGE_PAGE_SIZE - 1) & ~(LARGE_PAGE_SIZE - 1)) + within;
    uint64_t next = at + bytes + PAGE_SIZE;
    if (next > STACK_BASE)
        at = 0;
    else
        device_next = next;
    spin_unlock(&map_lock);
    if (!at || paging_map(&host, at, physical - offset, bytes, rights))
        return NULL;
    return (void *)(at + offset);
}

void *map_device(uint64_t physical, uint64_t size) {
    return map_range(physical, size, PAGING_READ | PAGING_WRITE | PAGING_UNCACHED);
}

void *map_combining(uint64_t physical, uint64_t size) {
    return map_range(physical, size, PAGING_READ | PAGING_WRITE | PAGING_HOST_COMBINING);
}

void *map_memory(uint64_t physical, uint64_t size) {
    return map_range(physical, size, PAGING_READ | PAGING_WRITE);
}

int stack_create(struct x86_stack *stack, unsigned order) {
    uint64_t size = PAGE_SIZE << order;
    void *pages = heap_pages(order, NULL);

    if (!pages)
        return -ENOMEM;
    spin_lock(&map_lock);
    uint64_t low = stack_next + PAGE_SIZE;
    stack_next = low + size;
    spin_unlock(&map_lock);
    int error = paging_map(&host, low, arch_heap_physical(pages), size, PAGING_READ | PAGING_WRITE);
    if (error) {
        heap_pages_free(pages, order, NULL);
        return error;
    }
    stack->low = low;
    stack->high = low + size;
    return 0;
}

/* The virtual address of a table of ours: in the image, or in the heap. */
static const uint64_t *table_at(uint64_t physical) {
    if (physical - image_physical < (uint64_t)(image_end - image_start))
        return (const uint64_t *)(physical - image_physical + (uint64_t)image_start);
    return arch_heap_virtual(physical);
}

bool host_map_readable(uint64_t address) {
    if (!host.root || address >> 39 < ((0xffff800000000000ull >> 39)))
        return false;
    const uint64_t *table = host.root;
    for (unsigned shift = 39;; shift -= 9) {
        uint64_t entry = table[address >> shift & (ENTRIES - 1)];
        if (!(entry & PTE_PRESENT))
            return false;
        if (shift == 12 || (shift < 39 && (entry & PTE_LARGE)))
            return true;
        table = table_at(entry & PTE_ADDRESS);
    }
}

uint64_t *host_map_temporary_root(uint64_t *physical) {
    spin_lock(&map_lock);
    uint64_t *root = reserve_page();
    spin_unlock(&map_lock);
    if (!root)
        return NULL;
    memcpy(root + MAP_SLOT, host.root + MAP_SLOT, (ENTRIES - MAP_SLOT) * sizeof(*root));
    *physical = arch_heap_physical(root);
    return root;
}

int host_map_identity(uint64_t *root, uint64_t physical, uint64_t size) {
    uint64_t end = physical + size;

    if (end < physical || end > 1ull << 47)
        return -EINVAL;
    uint64_t step;
    for (uint64_t at = physical & ~(PAGE_SIZE - 1); at < end; at += step) {
        uint64_t *table = root;
        unsigned leaf = at % LARGE_PAGE_SIZE || end - at < LARGE_PAGE_SIZE ? PAGE_SHIFT : LARGE_PAGE_SHIFT;
        step = 1ull << leaf;
        for (unsigned shift = 39; shift > leaf; shift -= 9) {
            uint64_t *entry = &table[at >> shift & (ENTRIES - 1)];
            if (!*entry) {
                spin_lock(&map_lock);
                uint64_t *page = reserve_page();
                spin_unlock(&map_lock);
                if (!page)
                    return -ENOMEM;
                *entry = arch_heap_physical(page) | TABLE_BITS;
            }
            table = arch_heap_virtual(*entry & PTE_ADDRESS);
        }
        table[at >> leaf & (ENTRIES - 1)] =
            at | TABLE_BITS | PTE_DIRTY | (leaf == PAGE_SHIFT ? 0 : PTE_LARGE);
    }
    return 0;
}
