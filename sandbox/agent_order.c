/*
 * The order of an agent's answers.
 * Input:  headers and payloads of the guest's agent (hostile).
 * Runs:   one thread at a time; pure.
 * Limits: one long request and AGENT_SMALL_MAX short ones.
 */
#include "sandbox/agent_order.h"

#include "vmm/base/compiler.h"

/* Those that a living agent answers at once, whatever its disks do, beside a command that runs. */
static bool is_small(enum protocol_type type)
{
        return type == PROTOCOL_SIGNAL || type == PROTOCOL_RESIZE || type == PROTOCOL_PING ||
               type == PROTOCOL_CLOCK || type == PROTOCOL_ENVIRONMENT || type == PROTOCOL_SHUTDOWN;
}

int agent_order_add(struct agent_order *o, const struct agent_request *req)
{
        bool alone = o->main.id && (o->main.type == PROTOCOL_FILE || o->main.type == PROTOCOL_CONNECT);

        if (!is_small(req->type)) {
                if (o->main.id)
                        return AGENT_E_BUSY;
                o->main = *req;
                return AGENT_OK;
        }
        for (size_t i = 0; !alone && i < array_size(o->small); i++) {
                if (!o->small[i].id) {
                        o->small[i] = *req;
                        return AGENT_OK;
                }
        }
        return AGENT_E_BUSY;
}

static struct agent_request *find(struct agent_order *o, uint32_t id)
{
        if (o->main.id == id)
                return &o->main;
        for (size_t i = 0; i < array_size(o->small); i++) {
                if (o->small[i].id == id)
                        return &o->small[i];
        }
        return NULL;
}

/* Is STARTED due before anything else? */
static bool tells(const struct agent_request *r)
{
        return r->type == PROTOCOL_ATTACH ||
               (r->type == PROTOCOL_EXEC && r->flags & (PROTOCOL_EXEC_TELL | PROTOCOL_EXEC_DETACH));
}

static bool runs(const struct agent_request *r)
{
        return (r->type == PROTOCOL_EXEC || r->type == PROTOCOL_ATTACH) && (r->started || !tells(r));
}

static bool takes_input(const struct agent_request *r)
{
        return r->flags & (r->type == PROTOCOL_EXEC ? (uint32_t)PROTOCOL_EXEC_STDIN : PROTOCOL_ATTACH_STDIN);
}

static bool is_file(const struct agent_request *r, enum protocol_file_op op)
{
        return r->type == PROTOCOL_FILE && r->flags == op;
}

static bool ends_with_done(const struct agent_request *r)
{
        return r->type != PROTOCOL_EXEC && r->type != PROTOCOL_ATTACH && r->type != PROTOCOL_METRICS &&
               !is_file(r, PROTOCOL_FILE_STAT) && !is_file(r, PROTOCOL_FILE_WATCH);
}

static bool may_come(const struct agent_request *r, enum protocol_type type)
{
        switch ((unsigned)type) {
        case PROTOCOL_ERROR:
                return true;
        case PROTOCOL_DONE:
                return ends_with_done(r);
        case PROTOCOL_STARTED:
                return tells(r) && !r->started;
        case PROTOCOL_EXIT:
                return runs(r);
        case PROTOCOL_STDOUT:
        case PROTOCOL_STDERR:
                return runs(r) && !(r->type == PROTOCOL_ATTACH && r->flags & PROTOCOL_ATTACH_QUIET);
        case PROTOCOL_WINDOW:
                return runs(r) && takes_input(r);
        case PROTOCOL_LOST:
                return runs(r) && r->type == PROTOCOL_ATTACH;
        case PROTOCOL_PROCESS:
                return r->type == PROTOCOL_PROCESSES;
        case PROTOCOL_DATA:
                return is_file(r, PROTOCOL_FILE_READ) || is_file(r, PROTOCOL_FILE_PACK);
        case PROTOCOL_STATUS:
                return is_file(r, PROTOCOL_FILE_STAT);
        case PROTOCOL_ENTRIES:
                return is_file(r, PROTOCOL_FILE_LIST);
        case PROTOCOL_EVENT:
                return is_file(r, PROTOCOL_FILE_WATCH);
        case PROTOCOL_REPORT:
                return r->type == PROTOCOL_METRICS;
        default:
                return false;
        }
}

static bool is_last(enum protocol_type type)
{
        return type == PROTOCOL_EXIT || type == PROTOCOL_ERROR || type == PROTOCOL_DONE ||
               type == PROTOCOL_STATUS || type == PROTOCOL_REPORT;
}

int agent_order_check(struct agent_order *o, const struct protocol_frame *frame, enum protocol_type *ret_of)
{
        struct agent_request *r = frame->id ? find(o, frame->id) : NULL;

        if (!frame->id && frame->type == PROTOCOL_ERROR)
                return AGENT_OK; /* of the connection */
        if (!r || !may_come(r, frame->type))
                return AGENT_E_ORDER;
        *ret_of = r->type;
        if (frame->type == PROTOCOL_STARTED)
                r->started = true;
        if (is_last(frame->type))
                *r = (struct agent_request){ 0 };
        return AGENT_OK;
}

static int check_processes(const uint8_t *p, size_t len)
{
        for (size_t at = 0, size = 0; at < len; at += size) {
                struct protocol_process process;
                int r = protocol_parse_process(p + at, len - at, &process, &size);

                if (r)
                        return r;
        }
        return PROTOCOL_OK;
}

static int check_entries(const uint8_t *p, size_t len)
{
        for (size_t at = 0, size = 0; at < len; at += size) {
                struct protocol_status status;
                int r = protocol_parse_status(p + at, len - at, &status, &size);

                if (r)
                        return r;
        }
        return PROTOCOL_OK;
}

static int check_report(const uint8_t *p, size_t len)
{
        for (size_t at = 0, size = 0; at < len; at += size) {
                const char *name;
                size_t name_len;
                uint64_t value;
                int r = protocol_parse_metric(p + at, len - at, &name, &name_len, &value, &size);

                if (r)
                        return r;
        }
        return PROTOCOL_OK;
}

/* What a DONE carries, where that is defined: a PING's count of execs, the next offset of a LIST. */
static int parse_done(const uint8_t *p, size_t len, struct agent_event *ret)
{
        uint32_t count = 0;
        int r = PROTOCOL_OK;

        if (ret->of == PROTOCOL_PING && len >= 4)
                r = protocol_parse_u32(p, 4, UINT32_MAX, &count);
        ret->number = count;
        if (ret->of == PROTOCOL_FILE && len >= 8)
                r = protocol_parse_u64(p, 8, &ret->number);
        return r;
}

static int parse_status(const uint8_t *p, size_t len, struct protocol_status *ret)
{
        size_t size = 0;
        int r = protocol_parse_status(p, len, ret, &size);

        return r || size == len ? r : PROTOCOL_E_LENGTH;
}

int agent_order_parse(const struct protocol_frame *frame, const uint8_t *p, struct agent_event *ret)
{
        size_t len = frame->len;

        ret->bytes = p;
        ret->len = len;
        switch ((unsigned)frame->type) {
        case PROTOCOL_STARTED:
                ret->kind = AGENT_STARTED;
                return protocol_parse_started(p, len, &ret->started);
        case PROTOCOL_STDOUT:
                ret->kind = AGENT_STDOUT;
                return PROTOCOL_OK;
        case PROTOCOL_STDERR:
                ret->kind = AGENT_STDERR;
                return PROTOCOL_OK;
        case PROTOCOL_DATA:
                ret->kind = AGENT_DATA;
                return PROTOCOL_OK;
        case PROTOCOL_LOST:
                ret->kind = AGENT_LOST;
                return protocol_parse_u64(p, len, &ret->number);
        case PROTOCOL_EXIT:
                ret->kind = AGENT_EXIT;
                return protocol_parse_exit(p, len, &ret->exit);
        case PROTOCOL_ERROR:
                ret->kind = AGENT_ERROR;
                return protocol_parse_error(p, len, &ret->error);
        case PROTOCOL_PROCESS:
                ret->kind = AGENT_PROCESSES;
                return check_processes(p, len);
        case PROTOCOL_STATUS:
                ret->kind = AGENT_STATUS;
                return parse_status(p, len, &ret->status);
        case PROTOCOL_ENTRIES:
                ret->kind = AGENT_ENTRIES;
                return check_entries(p, len);
        case PROTOCOL_EVENT:
                ret->kind = AGENT_WATCHED;
                return protocol_parse_event(p, len, &ret->watched);
        case PROTOCOL_REPORT:
                ret->kind = AGENT_REPORT;
                return check_report(p, len);
        default:
                ret->kind = AGENT_DONE;
                return parse_done(p, len, ret);
        }
}

bool agent_order_is_long(const struct agent_order *o, uint32_t id)
{
        return id && o->main.id == id;
}

bool agent_order_is_waiting(const struct agent_order *o)
{
        const struct agent_request *r = &o->main;

        for (size_t i = 0; i < array_size(o->small); i++) {
                if (o->small[i].id && !o->small[i].patient)
                        return true;
        }
        return r->id && ((r->type == PROTOCOL_ATTACH && !r->started) || r->type == PROTOCOL_METRICS ||
                         r->type == PROTOCOL_PROCESSES);
}

bool agent_order_is_running(const struct agent_order *o)
{
        return o->main.id && (o->main.type == PROTOCOL_EXEC || o->main.type == PROTOCOL_ATTACH);
}
