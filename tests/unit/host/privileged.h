// SPDX-License-Identifier: Apache-2.0
// Unit tests of code with a STI or CLI of its own: a process may execute neither, so between
// privileged_pass() and privileged_trap() they are passed over.
#ifndef SAGUARO_TESTS_PRIVILEGED_H
#define SAGUARO_TESTS_PRIVILEGED_H

#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <ucontext.h>

static struct sigaction privileged_before;

static void privileged_fault(int number, siginfo_t *info, void *context) {
    greg_t *rip = &((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
    const uint8_t *instruction = (const uint8_t *)(uintptr_t)*rip;
    (void)info;
    if (*instruction == 0xfa || *instruction == 0xfb)
        ++*rip;
    else
        sigaction(number, &privileged_before, NULL); /* comes once more */
}

static void privileged_pass(void) {
    struct sigaction action = {.sa_sigaction = privileged_fault, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &action, &privileged_before);
}

static void privileged_trap(void) {
    sigaction(SIGSEGV, &privileged_before, NULL);
}

#endif
