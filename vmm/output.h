#pragma once
/*
 * What the guest's agent tells the monitor for good (--output): the output of the main command, and how it
 * ended. The agent connects to CID 2, PROTOCOL_LOG_PORT, and sends frames; each piece of output becomes a
 * record:
 *
 *   8 bytes  nanoseconds since 1970, little endian: when it reached the monitor
 *   1 byte   1 stdout, 2 stderr
 *   3 bytes  0
 *   4 bytes  length of what follows, little endian, at least 1
 *
 * in a file as vmm/capfile.h has it; its parts begin and end with whole records. When the agent ends its
 * direction and then reads the end of ours, all that it sent is in the file.
 *
 * One connection at a time: while there is one, others are refused. Loop thread; the worker reads and writes.
 */
#include "vmm/base/cleanup.h"
#include "vmm/base/loop.h"
#include "vmm/base/worker.h"
#include "vmm/capfile.h"
#include "vmm/exit_file.h"

#define OUTPUT_RECORD_HEADER 16u

struct output;

/* @file, @loop: borrowed. */
int must_check output_new(struct output **ret, struct loop *loop, struct capfile *file);
/* After the worker that it was given. */
void output_free(struct output *o);
DEFINE_CLEANUP(struct output *, output_free)

/* @worker: borrowed. Before the first connection. */
void output_set_worker(struct output *o, struct worker *worker);

/* As connect() of vsock_config. Return: one end of a connected socket, or negative. */
int must_check output_connect(struct output *o);

/* At the end: takes what is still under way, and then nothing any more. May wait for the worker. */
void output_drain(struct output *o);
/* How the main command ended, after output_drain(). Return: false when nobody told. */
bool output_main(const struct output *o, struct protocol_exit *ret);
