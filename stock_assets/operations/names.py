"""Names of jobs, sensors and schedules, with those of earlier builds: a home has records under both."""

PURGE_SCHEDULE = "purge_history_schedule"
PURGE_CRON = "17 * * * *"  # at a minute at which little else begins

# Old -> new.
SENSORS = {
    "keep_prices_flowing": "run_programs",
    "judge_prices": "evaluate_checks",
    "report_what_happens": "record_and_notify",
    "follow_automation": "automation",
    "repair_sessions": "request_repairs",
}
JOBS = {"replay_prices": "reprocess_prices", "judge_everything": "evaluate_all_checks"}

PURGE_SENSOR = "purge_history"  # the sensor that the schedule has replaced
