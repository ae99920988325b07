"""BloodCell Lab: ``streamlit run app.py``."""

from bloodcell.ui.common.frame import navigation, sidebar
from bloodcell.ui.common.sign_in import require_sign_in

page = navigation()
require_sign_in()
sidebar()
page.run()
