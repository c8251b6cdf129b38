/* SPDX-License-Identifier: GPL-2.0 */
/* /init of a machine that is there for the self-test alone: runs each program twice and powers off. */
#include <stdio.h>
#include <sys/reboot.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void)
{
	static const char *const programs[] = { "/count", "/copy", "/rep" };

	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
			int status = -1;
			pid_t child = fork();

			if (child == 0) {
				execl(programs[i], programs[i], (char *)NULL);
				_exit(127);
			}
			waitpid(child, &status, 0);
			printf("selftest: %s %d\n", programs[i], status);
		}
	}
	fflush(stdout);
	reboot(RB_POWER_OFF);
	return 1;
}
