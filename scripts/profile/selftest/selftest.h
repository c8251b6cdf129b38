/* SPDX-License-Identifier: GPL-2.0 */
/* What the programs share. Each routine that is counted begins a granule of its own (16 bytes). */

/* The no-op that takes snapshot `number`. */
#define MARKER(number) .byte 0x0f, 0x1f, 0x84, 0x00, number, 0x32, 0x43, 0x4e

#define ROUTINE(name)                   \
    .balign 16;                         \
    .globl name;                        \
    .type name, @function;              \
name:

/* The next granule belongs to the next routine. */
#define END(name) .size name, . - name; .balign 16

/* exit(0) */
#define EXIT xorl %edi, %edi; movl $60, %eax; syscall
