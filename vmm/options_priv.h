#pragma once
/*
 * Options whose value is a list of words between commas: --image, --disk, --net, --balloon. For options.c.
 */
#include "vmm/config.h"

/*
 * @name: "image" or "disk"
 * @words: are cut apart; those of a disk or a network must last as long as the configuration
 * Return: 0, or -1 with *p filled.
 */
int must_check options_add_disk(struct vm_config *c, const char *name, char *words, struct problem *p);
int must_check options_add_net(struct vm_config *c, char *words, struct problem *p);
int must_check options_set_balloon(struct config_balloon *b, char *words, struct problem *p);
