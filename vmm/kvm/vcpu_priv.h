#pragma once
/*
 * What the files of vmm/kvm share of a vCPU.
 */
struct vcpu;

int vcpu_fd(const struct vcpu *vcpu);
/* The descriptor of its counters; -1 until there is one. */
int *vcpu_stats_fd(struct vcpu *vcpu);
