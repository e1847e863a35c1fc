/* Joins its standard input and output to a TCP port of 127.0.0.1: qemu starts one for each connection to the
 * metadata service, so it must start in no time. */
#include <arpa/inet.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static int copy(int from, int to)
{
    char piece[65536];
    ssize_t got = read(from, piece, sizeof piece);
    for (ssize_t done = 0; done < got;) {
        ssize_t put = write(to, piece + done, got - done);
        if (put <= 0)
            return 0;
        done += put;
    }
    return got > 0;
}

int main(int count, char **arguments)
{
    struct sockaddr_in server = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int connection = socket(AF_INET, SOCK_STREAM, 0);
    if (count != 2)
        return 2;
    server.sin_port = htons(atoi(arguments[1]));
    if (connect(connection, (struct sockaddr *)&server, sizeof server))
        return 1;
    struct pollfd ends[] = {{0, POLLIN, 0}, {connection, POLLIN, 0}};
    while (poll(ends, 2, -1) > 0) {
        if (ends[0].revents && !copy(0, connection)) {
            shutdown(connection, SHUT_WR);
            ends[0].fd = -1;
        }
        if (ends[1].revents && !copy(connection, 1))
            return 0;
    }
    return 0;
}
