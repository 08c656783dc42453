/* Drives _fanout.c without Python, libsrtp or a network, for the sanitizers: exit status 0, or the failed line on
 * standard error. The system calls are those below, so that each answer of a kernel can be given. */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

static int answers[16]; /* errno of the next calls, 0: sent; -1: one datagram fewer than asked for */
static int next_answer, datagrams, octets, calls;
static unsigned char last[2048];

static void answer_with(const int *given, int count)
{
    memset(answers, 0, sizeof answers);
    memcpy(answers, given, sizeof answers[0] * (size_t)count);
    next_answer = datagrams = octets = calls = 0;
}

static void take(const struct iovec *iov, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        datagrams++;
        octets += (int)iov[i].iov_len;
        memcpy(last, iov[i].iov_base, iov[i].iov_len); /* reads all of it: the sanitizer looks on */
    }
}

static ssize_t fake_sendmsg(int fd, const struct msghdr *message, int flags)
{
    ssize_t total = 0;
    int answer = answers[next_answer++];
    (void)fd, (void)flags, calls++;
    if (answer > 0) {
        errno = answer;
        return -1;
    }
    if (message->msg_controllen) {
        uint16_t size;
        memcpy(&size, CMSG_DATA(CMSG_FIRSTHDR(message)), sizeof size);
        if (size != message->msg_iov[0].iov_len)
            abort();
    }
    for (size_t i = 0; i < message->msg_iovlen; i++)
        total += (ssize_t)message->msg_iov[i].iov_len;
    take(message->msg_iov, message->msg_iovlen);
    return total;
}

static int fake_sendmmsg(int fd, struct mmsghdr *messages, unsigned int count, int flags)
{
    int answer = answers[next_answer++];
    (void)fd, (void)flags, calls++;
    if (answer > 0) {
        errno = answer;
        return -1;
    }
    if (answer < 0 && count > 1)
        count--;
    for (unsigned int i = 0; i < count; i++)
        take(messages[i].msg_hdr.msg_iov, messages[i].msg_hdr.msg_iovlen);
    return (int)count;
}

#define sendmsg fake_sendmsg
#define sendmmsg fake_sendmmsg
#include "_fanout.c"

enum { STRIDE = 1536, TAG = 16 };
static int refuse_after = -1, lie;

static int protect(void *session, void *packet, int *length)
{
    if (session != NULL && refuse_after-- == 0)
        return 9;
    memset((char *)packet + *length, 0xAA, TAG);
    *length += TAG + lie;
    return 0;
}

#define MUST(what) \
    do { \
        if (!(what)) { \
            fprintf(stderr, "line %d: %s\n", __LINE__, #what); \
            return 1; \
        } \
    } while (0)
#define ANSWER(...) \
    do { \
        const int given[] = {__VA_ARGS__}; \
        answer_with(given, (int)(sizeof given / sizeof given[0])); \
    } while (0)

static struct fan_batch batch;
static int sizes[FAN_SLOTS];
static char *laid;
static struct fan_job *jobs;

static void fresh(int count, int size, int viewers)
{
    free(batch.work), free(laid), free(jobs);
    memset(&batch, 0, sizeof batch);
    /* exactly as large as it must be: one byte beyond is seen */
    batch.work = malloc((size_t)STRIDE * (size_t)count);
    laid = calloc((size_t)count, STRIDE);
    jobs = calloc((size_t)viewers, sizeof *jobs);
    for (int i = 0; i < count; i++) {
        sizes[i] = size;
        laid[i * STRIDE] = (char)0x80;
        laid[i * STRIDE + 1] = (char)(i == count - 1 ? 0x80 : 0);
    }
    for (int j = 0; j < viewers; j++) {
        jobs[j].number = 0xFFFF;
        jobs[j].kind = 96;
        jobs[j].transport = -1;
    }
    batch.protect = (uint64_t)(uintptr_t)protect;
    batch.sizes = sizes;
    batch.count = count;
    batch.stride = STRIDE;
    batch.tag = TAG;
    batch.gso = 1;
    refuse_after = -1;
    lie = 0;
}

static int sends(void)
{
    fresh(FAN_SLOTS, STRIDE - TAG, 3); /* the largest batch there is */
    ANSWER(0);
    MUST(fan_live(&batch, laid, jobs, 3) == 0);
    MUST(datagrams == 3 * FAN_SLOTS && batch.errors == 0 && batch.dropped == 0 && batch.refused == 0);
    MUST(octets == 3 * FAN_SLOTS * (STRIDE - TAG + TAG));
    MUST(last[1] == (0x80 | 96)); /* marker of the last, payload type of the viewer */
    MUST(last[2] == 0 && last[3] == FAN_SLOTS - 2); /* 0xFFFF, 0, 1 … */

    fresh(3, 12, 1); /* the smallest packet */
    batch.transport_at = 10;
    jobs[0].transport = 0xFFFE;
    sizes[2] = 12;
    ANSWER(0);
    MUST(fan_live(&batch, laid, jobs, 1) == 0 && calls == 1);
    MUST(last[10] == 0 && last[11] == 0);

    fresh(6, 100, 1); /* runs: one larger, three alike with a smaller last, one larger again */
    sizes[0] = 40, sizes[4] = 60;
    ANSWER(0);
    MUST(fan_live(&batch, laid, jobs, 1) == 0 && calls == 3 && datagrams == 6);

    fresh(2, 100, 1);
    ANSWER(0);
    MUST(fan_exact(&batch, jobs) == 0 && datagrams == 2);
    return 0;
}

static int failures(void)
{
    fresh(8, 1000, 1); /* the socket is full */
    ANSWER(EAGAIN);
    MUST(fan_live(&batch, laid, jobs, 1) == 0 && batch.dropped == 8 && batch.errors == 0 && batch.gso == 1);
    fresh(8, 1000, 1);
    ANSWER(ENOBUFS);
    MUST(fan_live(&batch, laid, jobs, 1) == 0 && batch.dropped == 8 && batch.gso == 1);
    fresh(8, 1000, 2);
    ANSWER(EINTR, EPERM); /* again after a signal; then one viewer's path is refused, the other's is not */
    MUST(fan_live(&batch, laid, jobs, 2) == 0 && batch.errors == 8 && datagrams == 8);

    fresh(8, 1000, 2); /* a kernel without UDP_SEGMENT: at once by single datagrams, for good */
    ANSWER(EINVAL);
    MUST(fan_live(&batch, laid, jobs, 2) == 0 && batch.gso == 0 && datagrams == 16 && batch.errors == 0 && calls == 3);
    fresh(1, 1000, 1); /* but a single datagram that is refused says nothing of segmentation */
    ANSWER(EINVAL);
    MUST(fan_live(&batch, laid, jobs, 1) == 0 && batch.gso == 1 && batch.errors == 1);

    fresh(8, 1000, 1);
    batch.gso = 0;
    ANSWER(-1, EINTR, 0); /* seven of eight, a signal, the eighth */
    MUST(fan_live(&batch, laid, jobs, 1) == 0 && datagrams == 8 && batch.dropped == 0 && batch.errors == 0);
    batch.gso = 0;
    ANSWER(-1, EAGAIN);
    MUST(fan_live(&batch, laid, jobs, 1) == 0 && datagrams == 7 && batch.dropped == 1);
    batch.dropped = 0;
    ANSWER(EMSGSIZE); /* the first is refused, the others go */
    MUST(fan_live(&batch, laid, jobs, 1) == 0 && datagrams == 7 && batch.errors == 1 && batch.dropped == 0);

    fresh(8, 1000, 2); /* libsrtp refuses one packet of the first viewer: nothing of its batch leaves */
    jobs[0].session = 1;
    refuse_after = 5;
    ANSWER(0);
    MUST(fan_live(&batch, laid, jobs, 2) == 0 && datagrams == 8);
    MUST(jobs[0].failed == 1 && jobs[1].failed == 0 && batch.refused == 1 && batch.dropped == 8);
    fresh(2, 1000, 1);
    lie = 1; /* a tag of another size than was agreed on */
    ANSWER(0);
    MUST(fan_live(&batch, laid, jobs, 1) == 0 && datagrams == 0 && jobs[0].failed == 2);
    return 0;
}

static int nonsense(void)
{
    fresh(2, 1000, 1);
    ANSWER(0);
    batch.count = 0;
    MUST(fan_live(&batch, laid, jobs, 1) == -1);
    batch.count = FAN_SLOTS + 1;
    MUST(fan_live(&batch, laid, jobs, 1) == -1);
    batch.count = 2;
    sizes[1] = 11;
    MUST(fan_live(&batch, laid, jobs, 1) == -1 && fan_exact(&batch, jobs) == -1);
    sizes[1] = STRIDE - TAG + 1;
    MUST(fan_live(&batch, laid, jobs, 1) == -1);
    sizes[1] = 12, batch.transport_at = 11;
    MUST(fan_live(&batch, laid, jobs, 1) == -1);
    batch.transport_at = 0, batch.tag = FAN_TRAILER + 1;
    MUST(fan_live(&batch, laid, jobs, 1) == -1);
    batch.tag = TAG, batch.protect = 0;
    MUST(fan_live(&batch, laid, jobs, 1) == -1);
    batch.protect = (uint64_t)(uintptr_t)protect;
    MUST(fan_live(&batch, NULL, jobs, 1) == -1 && fan_live(&batch, laid, jobs, -1) == -1);
    MUST(fan_live(&batch, laid, jobs, 0) == 0 && datagrams == 0);
    return 0;
}

int main(void)
{
    int failed = sends() || failures() || nonsense();
    free(batch.work), free(laid), free(jobs);
    return failed;
}
