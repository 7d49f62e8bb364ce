#pragma once
/*
 * Which answers may come: what an agent's client keeps of the requests that it has sent. Private to sandbox/agent.c.
 */
#include "sandbox/agent.h"

struct agent_request {
        uint32_t id; /* 0: none */
        enum protocol_type type;
        uint32_t flags; /* of EXEC or ATTACH; the operation of a FILE */
        bool started;   /* STARTED has come */
        bool patient;   /* its answer is not waited for */
};

struct agent_order {
        struct agent_request main; /* the long one */
        struct agent_request small[AGENT_SMALL_MAX];
};

/* agent_order_add() - a request is going to be sent. Return: 0 or AGENT_E_BUSY. */
int must_check agent_order_add(struct agent_order *o, const struct agent_request *req);

/*
 * agent_order_check() - may this frame come now? Its last frame ends a request.
 * @ret_of: the type of the request
 * Return: 0 or AGENT_E_ORDER.
 */
int must_check agent_order_check(struct agent_order *o, const struct protocol_frame *frame,
                                 enum protocol_type *ret_of);

/* agent_order_parse() - the event of a frame that was checked, all of its payload. Return: 0 or a PROTOCOL_E_. */
int must_check agent_order_parse(const struct protocol_frame *frame, const uint8_t *p,
                                 struct agent_event *ret);

bool agent_order_is_long(const struct agent_order *o, uint32_t id); /* of the long request that runs */
bool agent_order_is_waiting(const struct agent_order *o);           /* as agent_is_waiting() */
bool agent_order_is_running(const struct agent_order *o);           /* EXEC or ATTACH */
