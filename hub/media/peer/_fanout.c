/* The native half of the fan-out: one call per batch and group of viewers.
 *
 * Per viewer the laid-out packets are copied, numbered, protected in place and sent, as fanout.py does it. libsrtp's
 * srtp_protect comes in as an address, the sessions likewise: no header of libsrtp is needed, and no second copy of it
 * is linked. Nothing here keeps state, allocates, or looks at Python; the interpreter's lock is free meanwhile, and the
 * caller owns every buffer until the call returns.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#ifndef SOL_UDP
#define SOL_UDP 17
#endif
#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

#define FAN_VERSION 2
#define FAN_SLOTS 64      /* packets of a batch at most, and segments that the kernel cuts one send into */
#define FAN_MAX_SEND 65000 /* bytes of one segmented send, below what one UDP datagram may hold */
#define FAN_HEADER 12
#define FAN_TRAILER 144   /* SRTP_MAX_TRAILER_LEN: no tag of libsrtp is longer */

/* One viewer in one batch. fanout_native.py writes it by struct.pack: keep both alike. */
struct fan_job {
    uint64_t session; /* srtp_t */
    uint64_t name;    /* const struct sockaddr * */
    uint32_t name_length;
    uint32_t number;    /* of the first packet; the low 16 bits go out */
    int32_t transport;  /* transport-cc number of the first packet, -1: none */
    uint32_t ssrc;      /* written over that of the packets, 0: theirs stays */
    uint16_t kind;      /* payload type */
    uint16_t failed;    /* out: nothing was sent, for libsrtp refused so many packets */
    uint32_t unused;
};

/* What all jobs of a call share. */
struct fan_batch {
    uint64_t protect; /* int (*)(srtp_t, void *, int *) */
    char *work;
    const int *sizes; /* plain sizes, headers included */
    int fd;
    int count;
    int stride;
    int tag;          /* bytes that SRTP appends */
    int transport_at; /* offset of transport-cc's number, 0: none */
    int gso;          /* in and out: 0 once the kernel turned out to have no UDP_SEGMENT */
    /* out, added up: packets */
    uint32_t refused; /* by libsrtp */
    uint32_t dropped; /* unsent because the socket was full, or with a refused one */
    uint32_t errors;  /* unsent for another reason */
};

typedef int (*fan_protect)(void *session, void *packet, int *length);

static void fan_put16(char *where, uint32_t value)
{
    where[0] = (char)(value >> 8);
    where[1] = (char)value;
}

static int fan_valid(const struct fan_batch *batch)
{
    if (batch->count < 1 || batch->count > FAN_SLOTS || batch->protect == 0 || batch->work == NULL)
        return 0;
    if (batch->tag < 0 || batch->tag > FAN_TRAILER || batch->stride < FAN_HEADER || batch->transport_at < 0)
        return 0;
    for (int i = 0; i < batch->count; i++) {
        int size = batch->sizes[i];
        if (size < FAN_HEADER || size > batch->stride - batch->tag)
            return 0;
        if (batch->transport_at && batch->transport_at + 2 > size)
            return 0;
    }
    return 1;
}

static void fan_lost(struct fan_batch *batch, int error, int count)
{
    if (error == EAGAIN || error == EWOULDBLOCK || error == ENOBUFS)
        batch->dropped += (uint32_t)count;
    else
        batch->errors += (uint32_t)count;
}

/* Send `count` neighbours as one segmented datagram; 0, or the errno. */
static int fan_send(const struct fan_batch *batch, const struct fan_job *job, struct iovec *iov, int count)
{
    union {
        char bytes[CMSG_SPACE(sizeof(uint16_t))];
        struct cmsghdr align;
    } control;
    struct msghdr message;
    size_t total = 0;
    ssize_t sent;

    memset(&message, 0, sizeof message);
    message.msg_name = (void *)(uintptr_t)job->name;
    message.msg_namelen = job->name_length;
    message.msg_iov = iov;
    message.msg_iovlen = (size_t)count;
    if (count > 1) {
        uint16_t size = (uint16_t)iov[0].iov_len;
        memset(&control, 0, sizeof control);
        message.msg_control = control.bytes;
        message.msg_controllen = sizeof control.bytes;
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_UDP;
        header->cmsg_type = UDP_SEGMENT;
        header->cmsg_len = CMSG_LEN(sizeof size);
        memcpy(CMSG_DATA(header), &size, sizeof size);
    }
    for (int i = 0; i < count; i++)
        total += iov[i].iov_len;
    do
        sent = sendmsg(batch->fd, &message, MSG_DONTWAIT);
    while (sent < 0 && errno == EINTR);
    if (sent < 0)
        return errno;
    return (size_t)sent == total ? 0 : EMSGSIZE;
}

/* Without segmentation: many datagrams in one call, until the socket is full. */
static void fan_send_many(struct fan_batch *batch, const struct fan_job *job, struct iovec *iov, int count)
{
    struct mmsghdr messages[FAN_SLOTS];
    int at = 0;

    memset(messages, 0, sizeof messages[0] * (size_t)count);
    for (int i = 0; i < count; i++) {
        messages[i].msg_hdr.msg_name = (void *)(uintptr_t)job->name;
        messages[i].msg_hdr.msg_namelen = job->name_length;
        messages[i].msg_hdr.msg_iov = iov + i;
        messages[i].msg_hdr.msg_iovlen = 1;
    }
    while (at < count) {
        int sent = sendmmsg(batch->fd, messages + at, (unsigned)(count - at), MSG_DONTWAIT);
        if (sent > 0) {
            at += sent;
            continue;
        }
        int error = sent < 0 ? errno : EAGAIN;
        if (error == EINTR)
            continue;
        if (error == EAGAIN || error == EWOULDBLOCK || error == ENOBUFS) {
            fan_lost(batch, error, count - at);
            return;
        }
        fan_lost(batch, error, 1); /* this one alone; the next may be smaller */
        at++;
    }
}

static int fan_lacks_gso(int error)
{
    return error == EIO || error == EINVAL || error == ENOPROTOOPT || error == EOPNOTSUPP;
}

/* How many packets from `at` leave in one send: equal sizes, and the last may be smaller. */
static int fan_run(const struct iovec *iov, int at, int count)
{
    size_t size = iov[at].iov_len;
    int most = at + (int)(FAN_MAX_SEND / size);
    int end = at + 1;

    if (most > count)
        most = count;
    while (end < most && iov[end].iov_len == size)
        end++;
    if (end < most && iov[end].iov_len < size)
        end++;
    return end - at;
}

static void fan_out(struct fan_batch *batch, const struct fan_job *job, struct iovec *iov)
{
    int at = 0;

    while (at < batch->count) {
        if (!batch->gso) {
            fan_send_many(batch, job, iov + at, batch->count - at);
            return;
        }
        int run = fan_run(iov, at, batch->count);
        int error = fan_send(batch, job, iov + at, run);
        if (error && run > 1 && fan_lacks_gso(error)) {
            batch->gso = 0;
            continue;
        }
        if (error)
            fan_lost(batch, error, run);
        at += run;
    }
}

/* Number for transport-cc, protect and send what lies in the work buffer. */
static void fan_finish(struct fan_batch *batch, struct fan_job *job)
{
    fan_protect protect = (fan_protect)(uintptr_t)batch->protect;
    struct iovec iov[FAN_SLOTS];

    job->failed = 0;
    for (int i = 0; i < batch->count; i++) {
        char *packet = batch->work + (ptrdiff_t)i * batch->stride;
        int length = batch->sizes[i];
        if (batch->transport_at && job->transport >= 0)
            fan_put16(packet + batch->transport_at, (uint32_t)job->transport + (uint32_t)i);
        if (protect((void *)(uintptr_t)job->session, packet, &length) || length != batch->sizes[i] + batch->tag)
            job->failed++;
        iov[i].iov_base = packet;
        iov[i].iov_len = (size_t)(batch->sizes[i] + batch->tag);
    }
    if (job->failed) { /* what was not protected must not leave; the whole batch is lost for this viewer */
        batch->refused += job->failed;
        batch->dropped += (uint32_t)batch->count;
        return;
    }
    fan_out(batch, job, iov);
}

/* Send the packets of `laid` to every job. 0, or -1 when the arguments cannot be. */
int fan_live(struct fan_batch *batch, const char *laid, struct fan_job *jobs, int count)
{
    if (!fan_valid(batch) || laid == NULL || count < 0)
        return -1;
    for (int j = 0; j < count; j++) {
        for (int i = 0; i < batch->count; i++) {
            ptrdiff_t at = (ptrdiff_t)i * batch->stride;
            char *packet = batch->work + at;
            memcpy(packet, laid + at, (size_t)batch->sizes[i]);
            packet[1] = (char)((packet[1] & 0x80) | (jobs[j].kind & 0x7F));
            fan_put16(packet + 2, jobs[j].number + (uint32_t)i);
            if (jobs[j].ssrc) {
                fan_put16(packet + 8, jobs[j].ssrc >> 16);
                fan_put16(packet + 10, jobs[j].ssrc);
            }
        }
        fan_finish(batch, &jobs[j]);
    }
    return 0;
}

/* Send what already lies in the work buffer, numbered and rewritten, to one job. 0, or -1 as above. */
int fan_exact(struct fan_batch *batch, struct fan_job *job)
{
    if (!fan_valid(batch))
        return -1;
    fan_finish(batch, job);
    return 0;
}
