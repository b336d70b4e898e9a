// SPDX-License-Identifier: Apache-2.0
// What units have blocked: counts, lines in the log, the owner's call, and an end to those that do not stop;
// and the state of all of it for people.
#include <stdio.h>
#include "core/arch.h"
#include "core/control.h"
#include "core/log.h"
#include "drivers/iommu/iommu_internal.h"

#define SECOND     1000000000ull
#define CALLS      10u  /* of a domain's `fault` in a second */
#define STORM      100u /* faults of one requester in a second that are too many */

#define ID_FORMAT  "%04x:%02x:%02x.%x"
#define ID(in, id) (in), (id) >> 8, (id) >> 3 & 31, (id)&7

/* Whose a requester is, for people. */
static const char *owner(const struct iommu_domain *domain) {
    return domain ? domain->name : "nobody";
}

/* All that are in it, until the last of them is detached. */
static void suspend(struct iommu_domain *domain) {
    domain->suspended = true;
    for (unsigned i = 0; i < IOMMU_SOURCES; i++)
        if (iommu.source[i].used && iommu.source[i].domain == domain)
            iommu_source_block(&iommu.source[i], true);
}

static bool may_call(struct iommu_domain *domain, bool suspended) {
    uint64_t now = time_now();

    if (now - domain->call_time >= SECOND) {
        domain->call_time = now;
        domain->calls = 0;
    }
    return domain->fault && (suspended || domain->calls++ < CALLS);
}

static void say(const struct iommu_fault *fault, const char *whose) {
    static struct log_limit limit = {.burst = 10};

    if (!log_allowed(&limit))
        return;
    if (fault->interrupt)
        log_warning("IOMMU: PCI " ID_FORMAT " (%s): interrupt %llu blocked: %s",
                    ID(fault->segment, fault->requester), whose, (unsigned long long)fault->address,
                    fault->reason);
    else
        log_warning("IOMMU: PCI " ID_FORMAT " (%s): %s at 0x%llx blocked: %s",
                    ID(fault->segment, fault->requester), whose, fault->write ? "write" : "read",
                    (unsigned long long)fault->address, fault->reason);
}

/* With the lock. True: it is one too many. */
static bool count(struct iommu_source *source, const struct iommu_fault *fault) {
    uint64_t now = time_now();

    if (now - source->second >= SECOND) {
        source->second = now;
        source->in_second = 0;
    }
    source->faults++;
    source->last = *fault;
    /* What it may not send as an interrupt is harmless, and its DMA has nothing to do with it. */
    return !fault->interrupt && ++source->in_second == STORM;
}

void iommu_report(struct iommu_unit *unit, const struct iommu_fault *fault) {
    struct iommu_domain *domain = NULL;
    bool storm = false, suspended = false;

    spin_lock(&iommu.lock);
    unit->faults++;
    struct iommu_source *source = iommu_source(fault->segment, fault->requester, true);
    if (source) {
        storm = count(source, fault);
        domain = source->domain != iommu.firmware ? source->domain : NULL;
    }
    if (domain)
        domain->faults++;
    if (storm && domain) {
        suspend(domain);
        suspended = true;
    } else if (storm && !source->quiet) {
        iommu_source_block(source, true);
    }
    bool call = domain && may_call(domain, suspended);
    spin_unlock(&iommu.lock);

    say(fault, owner(domain));
    if (suspended)
        log_error("IOMMU: the devices of %s are blocked: PCI " ID_FORMAT
                  " has tried %u times in a second what it may not do",
                  owner(domain), ID(fault->segment, fault->requester), STORM);
    else if (storm)
        log_warning("IOMMU: PCI " ID_FORMAT " is blocked without further notice: it has tried %u times in a "
                    "second what it may not do",
                    ID(fault->segment, fault->requester), STORM);
    if (call)
        domain->fault(domain, fault, suspended);
}

/* ---- for people */

static void describe_unit(const struct iommu_unit *unit, char *line, size_t size) {
    int used = snprintf(line, size, "%s: faults %llu, lost %llu: ", unit->name,
                        (unsigned long long)unit->faults, (unsigned long long)unit->lost);

    if (used >= 0 && (size_t)used < size)
        iommu.driver->describe(unit, line + used, size - (size_t)used);
}

static void describe_domain(const struct iommu_domain *domain, char *line, size_t size) {
    snprintf(line, size, "domain %u: %s, requesters %u, faults %llu%s", domain->number, domain->name,
             domain->sources, (unsigned long long)domain->faults, domain->suspended ? ", suspended" : "");
}

static void describe_source(const struct iommu_source *source, char *line, size_t size) {
    char where[24] = "no domain", last[96] = "";

    if (source->domain)
        snprintf(where, sizeof(where), "domain %u", source->domain->number);
    if (source->faults)
        snprintf(last, sizeof(last), ", last: %s 0x%llx: %s",
                 source->last.interrupt ? "interrupt"
                 : source->last.write   ? "write at"
                                        : "read at",
                 (unsigned long long)source->last.address, source->last.reason);
    snprintf(line, size, ID_FORMAT ": %s, faults %llu%s%s", ID(source->segment, source->requester), where,
             (unsigned long long)source->faults, source->quiet ? ", not reported" : "", last);
}

/* With the lock. */
static bool describe(unsigned number, char *line, size_t size) {
    if (number < iommu.unit_count) {
        describe_unit(iommu.unit[number], line, size);
        return true;
    }
    number -= iommu.unit_count;
    for (unsigned i = 0; i < IOMMU_DOMAINS; i++)
        if (iommu.domain[i] && number-- == 0) {
            describe_domain(iommu.domain[i], line, size);
            return true;
        }
    for (unsigned i = 0; i < IOMMU_SOURCES; i++) {
        const struct iommu_source *source = &iommu.source[i];
        if (source->used && (source->domain || source->faults) && number-- == 0) {
            describe_source(source, line, size);
            return true;
        }
    }
    return false;
}

bool control_iommu(unsigned number, char *line, size_t size) {
    spin_lock(&iommu.lock);
    bool there = describe(number, line, size);
    spin_unlock(&iommu.lock);
    return there;
}
