/* SPDX-License-Identifier: GPL-2.0 */
/* nc2-mark NUMBER: executes the marker of that number, 0 to 255; exit code 2 if there is none. */
#include "selftest.h"

    .text
ROUTINE(_start)
    cmpq $2, (%rsp)
    jne usage
    movq 16(%rsp), %rsi
    xorl %eax, %eax
    movzbl (%rsi), %ecx
digit:
    subl $'0', %ecx
    cmpl $9, %ecx
    ja usage
    imull $10, %eax
    addl %ecx, %eax
    cmpl $255, %eax
    ja usage
    incq %rsi
    movzbl (%rsi), %ecx
    testl %ecx, %ecx
    jnz digit

    leaq stubs(%rip), %rdx
    shll $4, %eax
    addq %rax, %rdx
    call *%rdx
    EXIT
usage:
    movl $2, %edi
    movl $60, %eax
    syscall
END(_start)

/* One marker in each 16 bytes. */
    .balign 16
stubs:
    .set number, 0
    .rept 256
    MARKER(number)
    ret
    .balign 16
    .set number, number + 1
    .endr
