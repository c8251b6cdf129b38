/* SPDX-License-Identifier: GPL-2.0 */
/* Instructions: `spin` runs 4 * TURNS + 2 of them. It runs once before, so that its page and its stack are there. */
#include "selftest.h"

#define TURNS 1000000

    .text
ROUTINE(_start)
    call spin
    MARKER(1)
    /* For a probe: a kind and a number where the first and third arguments of a C function are. */
    movl $5, %edi
    movl $3, %edx
    call spin
    MARKER(2)
    EXIT
END(_start)

ROUTINE(spin)
    movl $TURNS, %ecx
1:  addq $3, %rax
    xorq %rax, %rdx
    decl %ecx
    jnz 1b
    ret
END(spin)
