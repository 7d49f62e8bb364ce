#pragma once
/*
 * What --api-sock does. HTTP costs a program more than all the rest of its start, so `vmm` does not link it: its
 * serve_run() execs vmm-api, the same program with the API, which goes on with the same options as the same process.
 * serve_exec.c is in vmm, serve_api.c in vmm-api.
 */
#include "vmm/run.h"

/*
 * serve_run() - live @run's life under the API's orders
 * @run: made by run_init(); nothing of it is left afterwards
 * Return: enum vmm_status; *p holds the words for it, but for VMM_OK.
 */
int serve_run(struct run *run, char **argv, struct problem *p);
