/* SPDX-License-Identifier: GPL-2.0 */
/* Accesses: `copy_words` copies BYTES in words of 8, with a load and a store each; no line stays in an L1. */
#include "selftest.h"

#define BYTES 1048576

    .text
ROUTINE(_start)
    /* Pages of their own for the source; reading it untouched would read one page of zeros. */
    leaq source(%rip), %rdi
    movl $BYTES / 8, %ecx
    rep stosq
    call copy_words
    MARKER(3)
    /* For a probe: bytes where the second argument of a C function is. */
    movl $BYTES, %esi
    call copy_words
    MARKER(4)
    EXIT
END(_start)

ROUTINE(copy_words)
    leaq source(%rip), %rsi
    leaq target(%rip), %rdi
    movl $BYTES / 8, %ecx
1:  movq (%rsi), %rax
    movq %rax, (%rdi)
    addq $8, %rsi
    addq $8, %rdi
    decl %ecx
    jnz 1b
    ret
END(copy_words)

    .bss
    .balign 4096
source: .skip BYTES
target: .skip BYTES
