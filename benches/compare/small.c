/* The smallest server of the pipe handshake. Compiled statically: what starts it is measured, not its loader.
 *
 * It writes its pid into the FIFO of the first argument when its main begins, and keeps the FIFO open for as long as it lives.
 * Asked by SIGUSR1 it says `success` into the pipe that is its last argument, where there is one, and ends; by SIGTERM it ends. */
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

static void noted(int signal) { (void)signal; }

int main(int argc, char **argv) {
    sigset_t asked;
    sigemptyset(&asked);
    sigaddset(&asked, SIGUSR1);
    sigaddset(&asked, SIGTERM);
    signal(SIGUSR1, noted); /* that there is one shows the supervisor that it may ask */
    sigprocmask(SIG_SETMASK, &asked, 0);
    int32_t pid = getpid();
    int marks = argc > 1 ? open(argv[1], O_WRONLY | O_CLOEXEC) : -1;
    if (marks < 0 || write(marks, &pid, sizeof pid) != sizeof pid)
        return 1;
    int number = 0;
    sigwait(&asked, &number);
    if (number == SIGUSR1 && argc > 2)
        (void)!write(atoi(argv[argc - 1]), "success", 7);
    return 0;
}
