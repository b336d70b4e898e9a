// SPDX-License-Identifier: Apache-2.0
// What the bench's Linux guests measure with: a static program of their initramfs. Its last line is
// "MEASURED" with numbers, of times in microseconds by CLOCK_MONOTONIC; any problem is a line of its own and
// status 1.
//
//   measure serve
//     answers on port 5000, TCP and UDP, until it is killed
//   measure send|receive ADDRESS PORT MIB
//     by one TCP connection: MEASURED time
//   measure echo ADDRESS PORT SECONDS PAUSE
//     datagrams there and back, one at a time, PAUSE microseconds between:
//     MEASURED answers median-of-round-trips longest-time-between-two-answers
//   measure read|write PATH STEP SIZE COUNT
//     pieces of SIZE bytes, O_DIRECT, STEP "next" or "random": MEASURED time
//   measure beat PATH SECONDS
//     writes of 4 KiB, O_DIRECT, one after another: MEASURED writes median longest
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PORT      5000
#define PIECE     (64U << 10) // bytes of a read or write of a connection
#define ALIGNMENT 4096U       // of buffers and sizes for O_DIRECT
#define LARGEST   (1U << 20)
#define SAMPLES   100000U // of a median; what comes after them counts for the longest alone
#define LOST      200     // ms after which a datagram is sent again

static uint8_t buffer[LARGEST] __attribute__((aligned(ALIGNMENT)));
static uint32_t samples[SAMPLES];

// What a connection begins with: whether its opener sends or receives, and how many bytes. Little-endian.
struct wish {
    uint64_t receive;
    uint64_t bytes;
};

__attribute__((noreturn)) static void fail(const char *what) {
    fprintf(stderr, "measure: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_nsec / 1000;
}

static uint64_t number(const char *text, uint64_t highest) {
    char *end;
    errno = 0;
    uint64_t value = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value > highest) {
        errno = EINVAL;
        fail(text);
    }
    return value;
}

static int compare(const void *a, const void *b) {
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

static uint32_t median(uint64_t count) {
    size_t used = count < SAMPLES ? (size_t)count : SAMPLES;
    qsort(samples, used, sizeof(samples[0]), compare);
    return used != 0 ? samples[used / 2] : 0;
}

static void put(int connection, const void *data, size_t size) {
    for (size_t done = 0; done < size;) {
        ssize_t written = send(connection, (const uint8_t *)data + done, size - done, MSG_NOSIGNAL);
        if (written <= 0)
            fail("send");
        done += (size_t)written;
    }
}

static void get(int connection, void *data, size_t size) {
    for (size_t done = 0; done < size;) {
        ssize_t got = recv(connection, (uint8_t *)data + done, size - done, 0);
        if (got <= 0)
            fail("receive");
        done += (size_t)got;
    }
}

static void put_bytes(int connection, uint64_t bytes) {
    for (uint64_t left = bytes; left != 0;) {
        size_t part = left < PIECE ? (size_t)left : PIECE;
        put(connection, buffer, part);
        left -= part;
    }
}

static void get_bytes(int connection, uint64_t bytes) {
    for (uint64_t left = bytes; left != 0;) {
        size_t part = left < PIECE ? (size_t)left : PIECE;
        get(connection, buffer, part);
        left -= part;
    }
}

static struct sockaddr_in address_of(const char *address, const char *port) {
    struct sockaddr_in result = {.sin_family = AF_INET,
                                 .sin_port = htons((uint16_t)number(port, UINT16_MAX))};
    if (inet_pton(AF_INET, address, &result.sin_addr) != 1) {
        errno = EINVAL;
        fail(address);
    }
    return result;
}

static int open_socket(int type) {
    int result = socket(AF_INET, type, 0);
    if (result < 0)
        fail("socket");
    return result;
}

static int listen_at(int type) {
    struct sockaddr_in any = {
        .sin_family = AF_INET, .sin_port = htons(PORT), .sin_addr.s_addr = htonl(INADDR_ANY)};
    int result = open_socket(type), yes = 1;
    if (setsockopt(result, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) != 0 ||
        bind(result, (struct sockaddr *)&any, sizeof(any)) != 0)
        fail("bind");
    return result;
}

__attribute__((noreturn)) static void serve_datagrams(void) {
    int place = listen_at(SOCK_DGRAM);
    while (true) {
        struct sockaddr_in from;
        socklen_t size = sizeof(from);
        ssize_t got = recvfrom(place, buffer, PIECE, 0, (struct sockaddr *)&from, &size);
        if (got < 0)
            fail("receive");
        sendto(place, buffer, (size_t)got, 0, (struct sockaddr *)&from, size); // lost, if not sent
    }
}

__attribute__((noreturn)) static void serve_connection(int connection) {
    struct wish wish;
    get(connection, &wish, sizeof(wish));
    if (wish.receive != 0) {
        put_bytes(connection, wish.bytes);
    } else {
        get_bytes(connection, wish.bytes);
        put(connection, "", 1);
    }
    exit(0);
}

__attribute__((noreturn)) static void serve(void) {
    signal(SIGCHLD, SIG_IGN);
    int place = listen_at(SOCK_STREAM);
    if (listen(place, 4) != 0)
        fail("listen");
    pid_t child = fork();
    if (child < 0)
        fail("fork");
    if (child == 0)
        serve_datagrams();
    while (true) {
        int connection = accept(place, NULL, NULL);
        if (connection < 0)
            fail("accept");
        child = fork();
        if (child < 0)
            fail("fork");
        if (child == 0)
            serve_connection(connection);
        close(connection);
    }
}

static void transfer(bool receive, char **arguments) {
    struct sockaddr_in to = address_of(arguments[0], arguments[1]);
    struct wish wish = {.receive = receive, .bytes = number(arguments[2], 1 << 20) << 20};
    int connection = open_socket(SOCK_STREAM);
    if (connect(connection, (struct sockaddr *)&to, sizeof(to)) != 0)
        fail("connect");
    uint64_t begin = now();
    put(connection, &wish, sizeof(wish));
    if (receive) {
        get_bytes(connection, wish.bytes);
    } else {
        put_bytes(connection, wish.bytes);
        get(connection, buffer, 1); // all has arrived
    }
    printf("MEASURED %" PRIu64 "\n", now() - begin);
}

static void echo(char **arguments) {
    struct sockaddr_in to = address_of(arguments[0], arguments[1]);
    uint64_t end = now() + number(arguments[2], 3600) * 1000000;
    useconds_t pause = (useconds_t)number(arguments[3], 999999);
    int place = open_socket(SOCK_DGRAM);
    if (connect(place, (struct sockaddr *)&to, sizeof(to)) != 0)
        fail("connect");
    uint64_t count = 0, longest = 0, answered = now();
    while (now() < end) {
        uint64_t sent = now(), got = 0;
        if (send(place, &sent, sizeof(sent), 0) < 0 && errno != ENOBUFS)
            fail("send");
        struct pollfd ready = {.fd = place, .events = POLLIN};
        // An answer to an earlier one, which was given up, is passed over.
        while (got != sent && poll(&ready, 1, LOST) > 0) {
            if (recv(place, &got, sizeof(got), 0) < 0)
                fail("receive");
        }
        if (got != sent)
            continue;
        uint64_t time = now();
        if (count < SAMPLES)
            samples[count] = (uint32_t)(time - sent);
        count++;
        longest = time - answered > longest ? time - answered : longest;
        answered = time;
        if (pause != 0)
            usleep(pause);
    }
    printf("MEASURED %" PRIu64 " %" PRIu32 " %" PRIu64 "\n", count, median(count), longest);
}

// The same places on every run.
static uint64_t next_random(void) {
    static uint64_t state = 88172645463325252;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static int open_disk(const char *path, bool write, size_t piece, uint64_t *pieces) {
    int disk = open(path, (write ? O_RDWR : O_RDONLY) | O_DIRECT);
    off_t size = disk >= 0 ? lseek(disk, 0, SEEK_END) : -1;
    if (size < 0)
        fail(path);
    *pieces = (uint64_t)size / piece;
    if (*pieces == 0) {
        errno = EINVAL;
        fail(path);
    }
    return disk;
}

static void disk_access(int disk, bool write, size_t size, uint64_t piece) {
    off_t place = (off_t)(piece * size);
    ssize_t done = write ? pwrite(disk, buffer, size, place) : pread(disk, buffer, size, place);
    if (done != (ssize_t)size)
        fail("disk");
}

static void run_disk(bool write, char **arguments) {
    size_t size = (size_t)number(arguments[2], LARGEST);
    uint64_t count = number(arguments[3], UINT32_MAX), pieces;
    if (size == 0 || size % ALIGNMENT != 0) {
        errno = EINVAL;
        fail(arguments[2]);
    }
    bool random = strcmp(arguments[1], "random") == 0;
    int disk = open_disk(arguments[0], write, size, &pieces);
    uint64_t begin = now();
    for (uint64_t i = 0; i < count; i++)
        disk_access(disk, write, size, (random ? next_random() : i) % pieces);
    printf("MEASURED %" PRIu64 "\n", now() - begin);
}

static void beat(char **arguments) {
    uint64_t end = now() + number(arguments[1], 3600) * 1000000, count = 0, longest = 0, pieces;
    int disk = open_disk(arguments[0], true, ALIGNMENT, &pieces);
    for (uint64_t begin = now(); begin < end; count++) {
        disk_access(disk, true, ALIGNMENT, count % pieces);
        uint64_t time = now();
        if (count < SAMPLES)
            samples[count] = (uint32_t)(time - begin);
        longest = time - begin > longest ? time - begin : longest;
        begin = time;
    }
    printf("MEASURED %" PRIu64 " %" PRIu32 " %" PRIu64 "\n", count, median(count), longest);
}

int main(int count, char **words) {
    const char *what = count > 1 ? words[1] : "";
    char **arguments = words + 2;
    if (count == 2 && strcmp(what, "serve") == 0)
        serve();
    else if (count == 5 && strcmp(what, "send") == 0)
        transfer(false, arguments);
    else if (count == 5 && strcmp(what, "receive") == 0)
        transfer(true, arguments);
    else if (count == 6 && strcmp(what, "echo") == 0)
        echo(arguments);
    else if (count == 6 && strcmp(what, "read") == 0)
        run_disk(false, arguments);
    else if (count == 6 && strcmp(what, "write") == 0)
        run_disk(true, arguments);
    else if (count == 4 && strcmp(what, "beat") == 0)
        beat(arguments);
    else {
        fprintf(stderr, "measure: see its source\n");
        return 1;
    }
    return 0;
}
