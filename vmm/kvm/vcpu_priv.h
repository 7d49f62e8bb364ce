#pragma once
/*
 * What the files of vmm/kvm share of a vCPU.
 */
struct vcpu;

int vcpu_fd(const struct vcpu *vcpu);
