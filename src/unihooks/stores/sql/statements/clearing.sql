-- Everything goes but the store itself, as between two tests.

-- name: clear
DELETE FROM unihooks.tenants;
DELETE FROM unihooks.webhooks;
DELETE FROM unihooks.renderings;
DELETE FROM unihooks.secrets;
DELETE FROM unihooks.endpoints;
DELETE FROM unihooks.former_endpoints;
DELETE FROM unihooks.subscriptions;
DELETE FROM unihooks.lanes;
DELETE FROM unihooks.events;
DELETE FROM unihooks.new_events;
DELETE FROM unihooks.emitted;
DELETE FROM unihooks.deliveries;
DELETE FROM unihooks.attempts;
DELETE FROM unihooks.hours;
DELETE FROM unihooks.answers;
DELETE FROM unihooks.jobs;
DELETE FROM unihooks.console_state;
DELETE FROM unihooks.queue_ages;
DELETE FROM unihooks.totals;
DELETE FROM unihooks.workers
