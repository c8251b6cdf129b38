/* SPDX-License-Identifier: GPL-2.0 */
/* A copy in one instruction: `copy_string` is few instructions whatever it copies, and BYTES loads and stores. */
#include "selftest.h"

#define BYTES 16384

    .text
ROUTINE(_start)
    leaq source(%rip), %rdi
    movl $BYTES, %ecx
    rep stosb
    call copy_string
    MARKER(5)
    /* For a probe: bytes where the third argument of a C function is. */
    movl $BYTES, %edx
    call copy_string
    MARKER(6)
    EXIT
END(_start)

ROUTINE(copy_string)
    leaq source(%rip), %rsi
    leaq target(%rip), %rdi
    movl $BYTES, %ecx
    rep movsb
    ret
END(copy_string)

    .bss
    .balign 4096
source: .skip BYTES
target: .skip BYTES
