# SPDX-License-Identifier: Apache-2.0
# What the boot tests' harness takes for a fault of QEMU's, and what it does not: that is in a machine's output and in what QEMU's
# CPUs looked like when something did not come.
import machine

STABLE = "sched_clock: Marking stable (1697652260, 523350938)->(2920002954, -698999756)"
OUTPUT = f"[web] [    2.213596] IPI shorthand broadcast: enabled\nsaguaro> [web] [    2.222967] {STABLE}\n" \
         f"[db] [    2.215177] {STABLE}\n[db] [    2.236369] registered taskstats version 1\nsaguaro> \n"


def state(*looks):
    """looks: (RIP, RFLAGS) of each CPU at a moment."""
    def look(cpus):
        return "--- info registers -a\n\n" + "".join(f"CPU#{index}\nRAX=0\nRIP={rip} RFL={flags} [--S--P-] CPL=0\n\n"
                                                     for index, (rip, flags) in enumerate(cpus))
    return look(looks[0]) + "--- info pic\nioapic0\n" + look(looks[1])


def test_code_that_is_no_longer_there():
    stands, idle = ("ffffffff968fa830", "00000086"), ("ffffffff9734d1ab", "00000246")
    assert machine.stale_code(OUTPUT, state([stands, stands], [stands, stands])) == ["guest web: stands still at a static branch"]
    assert machine.stale_code(OUTPUT, state([idle, stands], [idle, stands])) == ["guest web: stands still at a static branch"]
    # It goes on, sleeps, or is not Linux's kernel; or the guest has said more; or nobody looked.
    assert machine.stale_code(OUTPUT, state([stands, idle], [("ffffffff968fa835", "00000086"), idle])) == []
    assert machine.stale_code(OUTPUT, state([idle, idle], [idle, idle])) == []
    hypervisor = ("0000000000203f10", "00000002")
    assert machine.stale_code(OUTPUT, state([hypervisor, hypervisor], [hypervisor, hypervisor])) == []
    more = OUTPUT.replace("saguaro> \n", "saguaro> [web] [    2.300000] Run /init as init process\n")
    assert machine.stale_code(more, state([stands, stands], [stands, stands])) == []
    assert machine.stale_code(OUTPUT, "") == []
    # The guest that has the console has no name before its lines.
    own = f"[    2.222967] {STABLE}\n"
    assert machine.stale_code(own, state([stands, stands], [stands, stands])) == ["guest on the console: stands still at a static branch"]
