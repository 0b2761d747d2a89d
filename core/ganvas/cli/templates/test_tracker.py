import pytest
from ganvas.registry.hooks import StageRecord
from ganvas.testing import conformance

from ganvas_template.template_module import Template


@pytest.mark.parametrize("check", conformance("tracker/template-name"))
def test_conformance(check):
    check()


def test_a_resumed_run_has_each_log_point_once(tmp_path):
    tracker, stage = Template(), StageRecord("an experiment", "gan", tmp_path, "", {})
    tracker.ganvas_stage_started(stage)
    tracker.ganvas_scalars(stage, 20, 1280, {"loss/d": 0.5})
    tracker.ganvas_scalars(stage, 40, 2560, {"loss/d": 0.25})
    resumed = StageRecord("an experiment", "gan", tmp_path, "", {}, resumed_at=20, resumed_images=1280)
    tracker = Template()
    tracker.ganvas_stage_started(resumed)
    tracker.ganvas_scalars(resumed, 40, 2560, {"loss/d": 0.125})
    written = (tmp_path / "scalars.csv").read_text().splitlines()
    assert written == ["iteration,images,scalar,value", "20,1280,loss/d,0.5", "40,2560,loss/d,0.125"]
